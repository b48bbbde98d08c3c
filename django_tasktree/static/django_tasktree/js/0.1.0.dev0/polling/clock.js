/* The time of the server. */

/** Differences up to this many milliseconds are ignored: they are the latency of an answer. */
const TOLERANCE = 1500;
/** The server's time minus the browser's, in milliseconds. */
let ahead = 0;

export const now = () => Date.now() + ahead;

/** Set the clock to a time of the server. */
export function setClock(text) {
    const time = Date.parse(text);
    if (!Number.isNaN(time) && Math.abs(time - now()) > TOLERANCE) {
        ahead = time - Date.now();
    }
}
