/* The table of a tree opens and closes in place; children are fetched when they are asked for, a page at a time. */
"use strict";

(function () {
    const table = document.querySelector(".tasktree-tree");
    if (!table) {
        return;
    }

    const depth = (row) => Number(row.dataset.depth);

    /** The rows below a row, down to its last descendant. */
    function below(row) {
        const found = [];
        let next = row.nextElementSibling;
        while (next && depth(next) > depth(row)) {
            found.push(next);
            next = next.nextElementSibling;
        }
        return found;
    }

    function toggleOf(row) {
        return row.querySelector(".tasktree-toggle");
    }

    function isOpen(row) {
        const toggle = toggleOf(row);
        return toggle !== null && toggle.getAttribute("aria-expanded") === "true";
    }

    /** Rows are shown where all rows above them are open. */
    function refresh(row) {
        const open = [isOpen(row)];
        for (const each of below(row)) {
            const level = depth(each) - depth(row);
            each.hidden = open.slice(0, level).includes(false);
            open[level] = isOpen(each);
        }
    }

    function setOpen(row, open) {
        toggleOf(row).setAttribute("aria-expanded", String(open));
        refresh(row);
    }

    async function fetchRows(row, page) {
        const query = new URLSearchParams({ parent: row.dataset.node, page: page, depth: depth(row) + 1 });
        const response = await window.tasktreeFetch(table.dataset.url + "?" + query);
        if (!response.ok) {
            throw new Error(String(response.status));
        }
        return response.json();
    }

    function rowsOf(html) {
        const template = document.createElement("template");
        template.innerHTML = "<table><tbody>" + html + "</tbody></table>";
        return Array.from(template.content.querySelectorAll("tr"));
    }

    function moreRow(row, page, left) {
        const more = document.createElement("tr");
        more.dataset.depth = depth(row) + 1;
        more.dataset.more = "1";
        const cell = more.insertCell();
        cell.colSpan = 5;
        cell.className = "tasktree-depth-" + Math.min(depth(row) + 1, 12);
        const button = document.createElement("button");
        button.type = "button";
        button.className = "tasktree-more";
        button.textContent = table.dataset.more + " (" + left.toLocaleString() + ")";
        button.addEventListener("click", () => load(row, page, more));
        cell.append(button);
        return more;
    }

    /** Fetch a page of a row's children and put it where the given row stands, or first below the parent. */
    async function load(row, page, instead) {
        const toggle = toggleOf(row);
        toggle.disabled = true;
        try {
            const answer = await fetchRows(row, page);
            if (page === 1) {
                below(row).forEach((each) => each.remove());
            }
            const rows = rowsOf(answer.html);
            if (answer.next) {
                rows.push(moreRow(row, answer.next, answer.total - answer.last));
            }
            rows.forEach(prepare);
            (instead || row).after(...rows);
            if (instead) {
                instead.remove();
            }
            row.dataset.shown = answer.last;
            setOpen(row, true);
            if (instead && rows.length) {
                const link = rows[0].querySelector("a, button");
                if (link) {
                    link.focus();
                }
            }
        } catch {
            announce(row, table.dataset.failed);
        } finally {
            toggle.disabled = false;
        }
    }

    function announce(row, text) {
        let note = row.querySelector(".tasktree-failed");
        if (!note) {
            note = document.createElement("span");
            note.className = "tasktree-failed";
            note.setAttribute("role", "status");
            row.querySelector(".tasktree-cell-children").append(note);
        }
        note.textContent = text;
    }

    function isComplete(row) {
        return row.dataset.shown === row.dataset.children || below(row).some((each) => each.dataset.more);
    }

    function press(row) {
        if (isOpen(row)) {
            setOpen(row, false);
        } else if (isComplete(row)) {
            setOpen(row, true);
        } else {
            load(row, 1, null);
        }
    }

    /** Give a row its button, if it has children. */
    function prepare(row) {
        if (!row.dataset.node || !Number(row.dataset.children) || toggleOf(row)) {
            return;
        }
        const toggle = document.createElement("button");
        toggle.type = "button";
        toggle.className = "tasktree-toggle";
        const name = row.querySelector("a");
        toggle.setAttribute("aria-label", table.dataset.open + " " + name.textContent.trim());
        toggle.setAttribute("aria-expanded", String(Number(row.dataset.shown) > 0 && below(row).length > 0));
        toggle.addEventListener("click", () => press(row));
        name.before(toggle);
        const all = row.querySelector(".tasktree-cell-children a");
        if (all) {
            all.addEventListener("click", function (event) {
                event.preventDefault();
                if (isOpen(row) && isComplete(row)) {
                    setOpen(row, false);
                } else {
                    load(row, 1, null);
                }
            });
        }
    }

    table.addEventListener("tasktree:grown", (event) => prepare(event.target));
    Array.from(table.tBodies[0].rows).forEach(prepare);
    table.classList.add("tasktree-interactive");
})();
