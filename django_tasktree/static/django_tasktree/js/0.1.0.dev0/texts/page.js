/* Texts and formats in the language of the page. All texts come from attributes, which templates translate. */

const unitsHolder = () => document.querySelector("[data-tasktree-units]");

/** Return the units of durations; null if the page has no element with them. */
export function unitsOfPage() {
    const holder = unitsHolder();
    return holder && JSON.parse(holder.dataset.tasktreeUnits);
}

/** Return the server's time when it rendered the page. */
export const timeOfPage = () => unitsHolder().dataset.tasktreeNow;

/** Return a number, formatted in the language of the page. */
export function numberText(number) {
    // Django's language codes may have a variant after an @, which the browser does not support.
    const language = document.documentElement.lang.split("@")[0];
    return number.toLocaleString(language || undefined, { maximumFractionDigits: 3 });
}
