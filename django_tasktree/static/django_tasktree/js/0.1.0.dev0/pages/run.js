/* Keep the page of a run up to date: its summary, and the states of the visible rows. */

import { startGraph } from "../graph_drawing/panel.js";
import { morph } from "../polling/morph.js";
import { poll } from "../polling/poll.js";
import { startTicking, tick } from "../polling/tick.js";
import { startTimeline } from "../timeline_drawing/panel.js";
import { startTable } from "../tree/table.js";
import { startTabs } from "../tree/tabs.js";

/** The maximum number of IDs in a URL. If there are more rows, they are requested in turn. */
const MAX_ROWS = 100;
const region = document.getElementById("tasktree-live");
let turn = -1;

function address() {
    const rows = document.querySelectorAll(".tasktree-tree tr[data-node]:not([hidden])");
    const ids = Array.from(rows, (row) => row.dataset.node);
    turn = (turn + 1) % Math.max(Math.ceil(ids.length / MAX_ROWS), 1);
    const asked = ids.slice(turn * MAX_ROWS, (turn + 1) * MAX_ROWS);
    return asked.length ? `${region.dataset.url}?nodes=${asked.join(",")}` : region.dataset.url;
}

const rowOf = (id) => document.getElementById(`node-${id}`);

function show(answer) {
    morph(region, answer.html);
    morph(document.getElementById("tasktree-history"), answer.history);
    for (const [id, state] of Object.entries(answer.rows)) {
        showRow(rowOf(id), state);
    }
    for (const row of answer.gone.map(rowOf).filter(Boolean)) {
        row.dispatchEvent(new CustomEvent("tasktree:gone", { bubbles: true }));
    }
    tick();
    document.dispatchEvent(new CustomEvent("tasktree:changed", { detail: answer }));
    region.dataset.over = answer.over ? "1" : "";
    return true;
}

function showRow(row, state) {
    if (!row) {
        return;
    }
    morph(row.querySelector(".tasktree-cell-state"), state.badge);
    morph(row.querySelector(".tasktree-cell-attempts"), String(state.attempts));
    morph(row.querySelector(".tasktree-cell-duration"), state.duration);
    if (String(state.children) !== row.dataset.children) {
        row.dataset.children = state.children;
        morph(row.querySelector(".tasktree-cell-children"), state.cell);
        row.dispatchEvent(new CustomEvent("tasktree:children", { bubbles: true }));
    }
}

startTicking();
startTable();
startGraph();
startTimeline();
// The tabs send events to the other views, so these must have registered their listeners.
startTabs();
// A run that has ended may be retried or deleted, but that is rare.
poll(address, show, { least: () => (region.dataset.over ? 15000 : 1000) });
