/* Requests to the server, with the reason if one fails. */

/** Timeout of a request in milliseconds; after it, the server counts as away. */
const PATIENCE = 15000;

/** The error for a failed request. `reason` is "loggedOut", "gone" or "away". */
export class NotLoaded extends Error {
    constructor(reason, cause) {
        super(`not loaded: ${reason}`, { cause });
        this.reason = reason;
    }

    /** Whether the request has timed out. */
    get hung() {
        return this.cause?.name === "TimeoutError";
    }
}

/** Return why a response is not usable; an empty text if it is. */
export function refusalOf({ redirected, status, ok }) {
    // The admin redirects users who are logged out to its login page.
    if (redirected || status === 401) {
        return "loggedOut";
    }
    if ([403, 404, 410].includes(status)) {
        return "gone";
    }
    return ok ? "" : "away";
}

async function orAway(promise) {
    try {
        return await promise;
    } catch (error) {
        throw new NotLoaded("away", error);
    }
}

/** Send a request. The browser's cache sends If-None-Match, and returns answers that have not changed. */
export function ask(address, options) {
    return orAway(fetch(address, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE), ...options }));
}

/** Send a request for JSON to one of this app's URLs. Throw NotLoaded if the response is not usable. */
export async function load(address) {
    const response = await ask(address, { headers: { Accept: "application/json" } });
    const reason = refusalOf(response);
    if (reason) {
        throw new NotLoaded(reason, new Error(`${address} answers ${response.status}`));
    }
    return response;
}

export const textOf = (response) => orAway(response.text());

export const jsonOf = (response) => orAway(response.json());
