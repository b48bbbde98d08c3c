/* Durations of what goes on are counted in the browser. */
"use strict";

(function () {
    const holder = document.querySelector("[data-tasktree-units]");
    if (!holder) {
        return;
    }
    const units = JSON.parse(holder.dataset.tasktreeUnits);
    window.tasktreeSetClock(holder.dataset.tasktreeNow);

    const two = (number) => String(number).padStart(2, "0");

    function text(seconds) {
        if (seconds < 60) {
            return units.seconds.replace("%(number)s", String(seconds));
        }
        if (seconds < 3600) {
            return units.minutes
                .replace("%(minutes)d", String(Math.floor(seconds / 60)))
                .replace("%(seconds)02d", two(seconds % 60));
        }
        return units.hours
            .replace("%(hours)d", String(Math.floor(seconds / 3600)))
            .replace("%(minutes)02d", two(Math.floor((seconds % 3600) / 60)));
    }

    function tick() {
        if (document.hidden || document.documentElement.classList.contains("tasktree-is-stale")) {
            return;
        }
        for (const element of document.querySelectorAll("[data-tasktree-since]")) {
            const since = Date.parse(element.dataset.tasktreeSince);
            const shown = text(Math.max(Math.floor((window.tasktreeNow() - since) / 1000), 0));
            if (element.textContent !== shown) {
                element.textContent = shown;
            }
        }
    }

    window.tasktreeTick = tick;
    setInterval(tick, 1000);
    tick();
})();
