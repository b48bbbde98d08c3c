/* Update running durations in the browser. */

import { durationText } from "../texts/durations.js";
import { timeOfPage, unitsOfPage } from "../texts/page.js";
import { now, setClock } from "./clock.js";
import { isPageStale } from "./stale.js";

let units = null;

/** Show the current durations. */
export function tick() {
    if (!units || document.hidden || isPageStale()) {
        return;
    }
    for (const element of document.querySelectorAll("[data-tasktree-since]")) {
        const since = Date.parse(element.dataset.tasktreeSince);
        const shown = durationText(Math.max(Math.floor((now() - since) / 1000), 0), units);
        if (element.textContent !== shown) {
            element.textContent = shown;
        }
    }
}

/** Start updating each second. Several scripts of a page may call this. */
export function startTicking() {
    const found = units ? null : unitsOfPage();
    if (found) {
        units = found;
        setClock(timeOfPage());
        setInterval(tick, 1000);
        tick();
    }
}
