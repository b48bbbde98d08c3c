/* The list of runs stays up to date, and shows new ones. */
"use strict";

(function () {
    const holder = document.querySelector("[data-tasktree-list]");
    const table = document.querySelector("#result_list tbody");
    if (!holder) {
        return;
    }

    const boxOf = (row) => row.querySelector("input[name=_selected_action]");
    const linkOf = (row) => row.querySelector(".field-title a");

    /** The rows by the key of their run: the part of the link's path before the last. */
    function rowsOf(body) {
        const found = new Map();
        for (const row of body.rows) {
            const link = linkOf(row);
            const key = link && new URL(link.href, location.href).pathname.split("/").filter(Boolean).at(-2);
            if (key) {
                found.set(key, row);
            }
        }
        return found;
    }

    function isChosen(row) {
        const box = boxOf(row);
        return box !== null && box.checked;
    }

    /** Rows that are not there yet are taken from the page as it is now: it may be in any theme. */
    async function fetchRows() {
        const response = await fetch(location.href);
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const body = page.querySelector("#result_list tbody");
        return body ? rowsOf(body) : new Map();
    }

    async function addRows(keys) {
        const fresh = await fetchRows();
        const known = rowsOf(table);
        for (const key of keys) {
            const row = known.get(key) || fresh.get(key);
            if (row) {
                table.append(row);
            }
        }
        for (const [key, row] of known) {
            // Whoever has chosen a row keeps it.
            if (!keys.includes(key) && !isChosen(row)) {
                row.remove();
            }
        }
    }

    async function show(answer) {
        if (!table) {
            // There was no run yet, and so no table.
            if (answer.rows.length) {
                location.reload();
            }
            return true;
        }
        const keys = answer.rows.map((row) => row.id);
        const known = rowsOf(table);
        if (keys.some((key) => !known.has(key))) {
            await addRows(keys);
        }
        const rows = rowsOf(table);
        for (const each of answer.rows) {
            const row = rows.get(each.id);
            for (const [name, html] of Object.entries(row ? each.cells : {})) {
                const cell = row.querySelector(".field-" + name);
                if (cell) {
                    window.tasktreeMorph(cell, html);
                }
            }
        }
        window.tasktreeTick();
        return true;
    }

    window.tasktreePoll(() => holder.dataset.tasktreeList, show, 2000);
})();
