/* The row that replaces children which are not loaded yet. */

import { numberText } from "../texts/page.js";
import { depth } from "./rows.js";

/** The number of levels in the style sheet. */
const DEEPEST = 12;

/** Return a row, to be placed below `row`, with a button that loads more children. */
export function moreRow(row, columns, press) {
    const more = document.createElement("tr");
    more.dataset.depth = depth(row) + 1;
    more.dataset.more = "1";
    const cell = more.insertCell();
    cell.colSpan = columns;
    cell.className = `tasktree-depth-${Math.min(depth(row) + 1, DEEPEST)}`;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tasktree-more";
    button.addEventListener("click", () => press(more));
    cell.append(button);
    return more;
}

export function tellLeft(more, label, left) {
    more.querySelector("button").textContent = `${label} (${numberText(left)})`;
}
