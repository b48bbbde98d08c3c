/* The rows of runs that are going stay up to date. */
"use strict";

(function () {
    const FASTEST = 2000;
    const SLOWEST = 30000;
    const GOING = ".tasktree-state-started, .tasktree-state-paused, .tasktree-state-draft";
    let pause = FASTEST;
    let timer = null;

    function rows(page) {
        const found = new Map();
        page.querySelectorAll("#result_list tbody tr").forEach(function (row) {
            const link = row.querySelector(".field-title a");
            if (link) {
                found.set(link.getAttribute("href"), row);
            }
        });
        return found;
    }

    /** Replace cells that differ; not the first, which says whether the row is chosen. */
    function update(row, fresh) {
        let changed = false;
        Array.from(row.cells).forEach(function (cell, index) {
            const other = fresh.cells[index];
            if (other && !cell.classList.contains("action-checkbox") && cell.innerHTML !== other.innerHTML) {
                cell.innerHTML = other.innerHTML;
                changed = true;
            }
        });
        return changed;
    }

    function isGoing(row) {
        return row.querySelector(GOING) !== null;
    }

    async function look() {
        const going = Array.from(rows(document)).filter(([, row]) => isGoing(row));
        if (!going.length) {
            return;
        }
        try {
            const response = await fetch(location.href);
            if (response.ok) {
                const page = new DOMParser().parseFromString(await response.text(), "text/html");
                const fresh = rows(page);
                const changed = going.filter(([key, row]) => fresh.has(key) && update(row, fresh.get(key)));
                pause = changed.length ? FASTEST : Math.min(pause * 1.5, SLOWEST);
            }
        } catch {
            pause = Math.min(pause * 2, SLOWEST);
        }
        again();
    }

    function again() {
        clearTimeout(timer);
        if (!document.hidden) {
            timer = setTimeout(look, pause);
        }
    }

    document.addEventListener("visibilitychange", function () {
        pause = FASTEST;
        again();
    });
    document.addEventListener("DOMContentLoaded", again);
})();
