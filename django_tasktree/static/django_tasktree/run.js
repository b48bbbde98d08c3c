/* The page of a run stays up to date: its summary, and the states of the rows that are shown. */
"use strict";

(function () {
    const MOST_ROWS = 100;
    const region = document.getElementById("tasktree-live");
    if (!region || region.dataset.over) {
        return;
    }

    function address() {
        const rows = document.querySelectorAll(".tasktree-tree tr[data-node]:not([data-over]):not([hidden])");
        const ids = Array.from(rows).slice(0, MOST_ROWS).map((row) => row.dataset.node);
        return ids.length ? region.dataset.url + "?nodes=" + ids.join(",") : region.dataset.url;
    }

    function show(answer) {
        window.tasktreeMorph(region, answer.html);
        window.tasktreeMorph(document.getElementById("tasktree-history"), answer.history);
        for (const [id, state] of Object.entries(answer.rows)) {
            showRow(document.getElementById("node-" + id), state);
        }
        window.tasktreeTick();
        document.dispatchEvent(new CustomEvent("tasktree:changed", { detail: answer }));
        return !answer.over;
    }

    function showRow(row, state) {
        if (!row) {
            return;
        }
        window.tasktreeMorph(row.querySelector(".tasktree-cell-state"), state.badge);
        window.tasktreeMorph(row.querySelector(".tasktree-cell-attempts"), String(state.attempts));
        window.tasktreeMorph(row.querySelector(".tasktree-cell-duration"), state.duration);
        if (state.over) {
            row.dataset.over = "1";
        }
        if (String(state.children) !== row.dataset.children) {
            row.dataset.children = state.children;
            row.dispatchEvent(new CustomEvent("tasktree:grown", { bubbles: true }));
        }
    }

    window.tasktreePoll(address, show);
})();
