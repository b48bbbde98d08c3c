/* Mark the page, or a part of it, as out of date. */

const CLASS = "tasktree-is-stale";

export const pageNotice = () => document.querySelector("[data-tasktree-stale]");

export const isPageStale = () => document.documentElement.classList.contains(CLASS);

/**
 * Mark a part of the page as out of date, or remove the mark.
 *
 * @param {Element} part - the element to mark.
 * @param {?Element} notice - the element for the message to the user; it has the texts as data attributes.
 * @param {string} reason - "loggedOut", "gone" or "away"; empty if the part is up to date again.
 */
export function showStale(part, notice, reason) {
    if (notice) {
        const text = reason ? notice.dataset[reason] : "";
        notice.hidden = !reason;
        if (notice.textContent !== text) {
            notice.textContent = text;
        }
    }
    part.classList.toggle(CLASS, Boolean(reason));
}
