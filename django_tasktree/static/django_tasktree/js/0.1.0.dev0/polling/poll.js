/* Poll a URL: at short intervals while the answer changes, at longer ones while it does not, never in a hidden tab. If
   polling fails, the page, or the part of it that shows the answer, is marked as out of date. */

import { setClock } from "./clock.js";
import { jsonOf, load, NotLoaded } from "./load.js";
import { Pace } from "./pace.js";
import { pageNotice, showStale } from "./stale.js";

class Poller {
    constructor(address, show, pace, tell) {
        Object.assign(this, { address, show, pace, tell });
        this.timer = null;
        this.ended = false;
    }

    schedule() {
        clearTimeout(this.timer);
        if (!this.ended && !document.hidden) {
            this.timer = setTimeout(() => this.look(), this.pace.pause);
        }
    }

    async look() {
        const asked = this.address();
        try {
            await this.follow(asked, await load(asked));
        } catch (error) {
            this.fail(asked, error);
        }
        this.schedule();
    }

    async follow(asked, response) {
        if (!this.pace.answered(asked, response.headers.get("ETag"))) {
            setClock(response.headers.get("Date"));
            this.ended = !(await this.show(await jsonOf(response)));
        }
        this.pace.succeeded();
        this.tell("");
    }

    fail(asked, error) {
        if (!(error instanceof NotLoaded)) {
            // An error in the page itself: report it in the browser's console.
            reportError(error);
        } else if (error.reason !== "away") {
            this.ended = true;
            this.tell(error.reason);
            return;
        }
        this.pace.failed(asked, Boolean(error.hung));
        if (this.pace.isAway) {
            this.tell("away");
        }
    }

    hurry() {
        this.pace.hurry();
        this.schedule();
    }
}

/**
 * Start polling.
 *
 * @param {function(): string} address - returns the URL for each request.
 * @param {function(object): (boolean|Promise<boolean>)} show - shows an answer; returns whether to continue.
 * @param {object} [options]
 * @param {function(): number} [options.least] - returns the minimum interval in milliseconds.
 * @param {Element} [options.part] - the element to mark while it is out of date; by default the whole page.
 * @param {?Element} [options.notice] - the element for the message to the user.
 */
export function poll(address, show, { least, part = document.documentElement, notice = pageNotice() } = {}) {
    const poller = new Poller(address, show, new Pace(least), (reason) => showStale(part, notice, reason));
    document.addEventListener("visibilitychange", () => poller.hurry());
    poller.schedule();
}
