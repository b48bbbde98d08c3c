/* The interval between requests: short while answers change, longer while they do not. Independent of the page. */

/** Limits of the interval in milliseconds. */
export const FASTEST = 1000;
export const SLOWEST = 15000;
/** The number of failed requests in a row after which the page is marked as out of date. */
export const FAILURES = 3;

/** The interval until the next request. */
export class Pace {
    /** @param {function(): number} least - returns the minimum interval in milliseconds. */
    constructor(least = () => FASTEST) {
        this.least = least;
        this.pause = least();
        this.failures = 0;
        /** The ETag of the last answer, by URL: several URLs may be requested in turn. */
        this.tags = new Map();
        this.last = null;
    }

    /** Whether the server counts as away. */
    get isAway() {
        return this.failures >= FAILURES;
    }

    /** Use the shortest interval; for example, because the user has come back to the page. */
    hurry() {
        this.pause = FASTEST;
    }

    /** Record an answer. If it has not changed, increase the interval. Return whether it is shown already. */
    answered(asked, tag) {
        if (this.failures) {
            this.hurry();
        }
        const known = this.tags.get(asked);
        const same = tag !== null && tag === known;
        const shown = same && asked === this.last;
        this.last = asked;
        if (same) {
            this.pause = Math.min(this.pause * 1.5, SLOWEST);
        } else if (known !== undefined) {
            // The change may affect the other URLs, too: treat none of their answers as known.
            this.tags.clear();
            this.hurry();
        }
        this.tags.set(asked, tag);
        return shown;
    }

    /** Record that the answer is shown. */
    succeeded() {
        this.failures = 0;
        this.pause = Math.max(this.pause, this.least());
    }

    /** Record a failure; the server may be restarting. A timeout counts as FAILURES failures, because it took long. */
    failed(asked, hung) {
        this.tags.delete(asked);
        this.failures += hung ? FAILURES : 1;
        this.pause = Math.min(this.pause * 2, SLOWEST);
    }
}
