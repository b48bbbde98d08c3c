/* Keep the list of runs up to date: add new runs, and remove those that were deleted or no longer match. */

import { keepBoxes, renewBoxes, showChoice } from "../list/boxes.js";
import { arrangeRows, rowsOf } from "../list/rows.js";
import { ask, NotLoaded, refusalOf, textOf } from "../polling/load.js";
import { morph } from "../polling/morph.js";
import { poll } from "../polling/poll.js";
import { startTicking, tick } from "../polling/tick.js";

/** The elements with the number of rows: below the list, and beside the actions. */
const COUNTS = ["[data-tasktree-pages]", "div.actions .all", "div.actions .question a"];
const holder = document.querySelector("[data-tasktree-list]");
const table = document.getElementById("result_list");
let total = Number(holder?.dataset.total);

async function fetchPage() {
    const response = await ask(location.href);
    if (refusalOf(response)) {
        // The next poll finds the reason.
        throw new NotLoaded("away");
    }
    return new DOMParser().parseFromString(await textOf(response), "text/html");
}

function showCounts(page) {
    for (const selector of COUNTS) {
        const fresh = page.querySelectorAll(selector);
        document.querySelectorAll(selector).forEach((old, index) => {
            if (fresh[index]) {
                morph(old, fresh[index]);
            }
        });
    }
}

async function synchronise() {
    const page = await fetchPage();
    const fresh = page.getElementById("result_list");
    if (!fresh) {
        location.reload();
        return;
    }
    arrangeRows(table, fresh);
    total = Number(page.querySelector("[data-tasktree-list]").dataset.total);
    showCounts(page);
    renewBoxes(table);
    showChoice();
}

function differs(answer) {
    const keys = Array.from(rowsOf(table).keys());
    if (!keys.length) {
        // A project may use other columns, without the link by which rows are identified.
        return false;
    }
    return answer.total !== total || answer.rows.map((row) => row.id).join() !== keys.join();
}

function showCells(row, cells) {
    for (const [name, html] of Object.entries(cells)) {
        const cell = row.querySelector(`.field-${name}`);
        if (cell) {
            morph(cell, html);
        }
    }
}

function showRows(answer) {
    const rows = rowsOf(table);
    for (const each of answer.rows.filter(({ id }) => rows.has(id))) {
        showCells(rows.get(each.id), each.cells);
    }
    tick();
}

async function show(answer) {
    if (table) {
        if (differs(answer)) {
            await synchronise();
        }
        showRows(answer);
    } else if (answer.rows.length) {
        // There were no runs when the page was loaded, and so no table.
        location.reload();
    }
    return true;
}

// The page of a run includes this script, too, without a list.
startTicking();
if (holder) {
    keepBoxes();
    poll(() => holder.dataset.tasktreeList, show, { least: () => 2000 });
}
