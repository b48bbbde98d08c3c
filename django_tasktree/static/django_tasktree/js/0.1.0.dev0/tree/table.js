/* The tree table. Rows expand and collapse in place; their children are loaded on demand, one page at a time. */

import { jsonOf, load, NotLoaded } from "../polling/load.js";
import { moreRow, tellLeft } from "./more.js";
import { below, childrenOf, depth, isComplete, parentOf } from "./rows.js";
import { addToggle, isOpen, setOpen, toggleOf } from "./toggles.js";

const table = document.querySelector(".tasktree-tree");

async function fetchRows(row, page) {
    const query = new URLSearchParams({ parent: row.dataset.node, page, depth: depth(row) + 1 });
    return jsonOf(await load(`${table.dataset.url}?${query}`));
}

function rowsOf(html) {
    const template = document.createElement("template");
    template.innerHTML = `<table><tbody>${html}</tbody></table>`;
    return Array.from(template.content.querySelectorAll("tr"));
}

function removeAll(rows) {
    for (const row of rows) {
        row.remove();
    }
}

/** Return the rows of an answer; and if there are more, a row for loading them, and the important ones of these. */
function freshRows(row, answer) {
    const rows = rowsOf(answer.html);
    if (answer.next) {
        const more = moreRow(row, 5, () => fetchMore(row, answer.next, more));
        tellLeft(more, table.dataset.more, answer.total - answer.last);
        rows.push(more, ...rowsOf(answer.after));
    }
    rows.forEach(prepare);
    return rows;
}

/** Load a page of a row's children and insert them with `place`. Return null if they can't be loaded. */
async function fetchInto(row, page, place) {
    const toggle = toggleOf(row);
    toggle.disabled = true;
    try {
        const answer = await fetchRows(row, page);
        const rows = freshRows(row, answer);
        place(rows);
        row.dataset.shown = answer.last;
        setOpen(row, true);
        return rows;
    } catch (error) {
        if (!(error instanceof NotLoaded)) {
            throw error;
        }
        announce(row, table.dataset.failed);
        return null;
    } finally {
        toggle.disabled = false;
    }
}

function fetchFirst(row) {
    return fetchInto(row, 1, (rows) => {
        removeAll(below(row));
        row.after(...rows);
    });
}

/** Replace the row for loading more, and the rows after it, by the next page of children. */
async function fetchMore(row, page, more) {
    const rows = await fetchInto(row, page, (rows) => {
        const all = below(row);
        removeAll(all.slice(all.indexOf(more) + 1));
        more.replaceWith(...rows);
    });
    rows?.[0]?.querySelector("a, button")?.focus();
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

function press(row) {
    if (isOpen(row) || isComplete(row)) {
        setOpen(row, !isOpen(row));
    } else {
        fetchFirst(row);
    }
}

function showAll(row) {
    if (isOpen(row) && isComplete(row)) {
        setOpen(row, false);
    } else {
        fetchFirst(row);
    }
}

/** Add the button to a row, if it has children. */
function prepare(row) {
    if (row.dataset.node && Number(row.dataset.children) && !toggleOf(row)) {
        const open = Number(row.dataset.shown) > 0 && below(row).length > 0;
        addToggle(row, table.dataset.open, open, () => press(row));
    }
}

/** Update a row whose number of children has changed. */
function follow(row) {
    const number = Number(row.dataset.children);
    if (!number && toggleOf(row)) {
        removeAll(below(row));
        toggleOf(row).remove();
    }
    for (const more of childrenOf(row).filter((each) => each.dataset.more)) {
        tellLeft(more, table.dataset.more, Math.max(number - Number(row.dataset.shown), 0));
    }
    prepare(row);
}

/** Remove the row of a deleted node, with its descendants. */
function remove(row) {
    const parent = parentOf(row);
    removeAll([...below(row), row]);
    if (parent) {
        parent.dataset.shown = childrenOf(parent).filter((each) => each.dataset.node).length;
    }
}

function pressLink(event) {
    const all = event.target.closest(".tasktree-cell-children a");
    if (all) {
        event.preventDefault();
        showAll(all.closest("tr"));
    }
}

export function startTable() {
    if (!table) {
        return;
    }
    table.addEventListener("click", pressLink);
    table.addEventListener("tasktree:children", (event) => follow(event.target));
    table.addEventListener("tasktree:gone", (event) => remove(event.target));
    Array.from(table.tBodies[0].rows).forEach(prepare);
    table.classList.add("tasktree-interactive");
}
