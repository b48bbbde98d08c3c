/* The buttons that expand and collapse rows of a tree. */

import { showOpen } from "./rows.js";

export const toggleOf = (row) => row.querySelector(".tasktree-toggle");

export const isOpen = (row) => toggleOf(row)?.getAttribute("aria-expanded") === "true";

export function setOpen(row, open) {
    toggleOf(row).setAttribute("aria-expanded", String(open));
    showOpen(row, isOpen);
}

/** Insert a button before the name of a row. */
export function addToggle(row, label, open, press) {
    const toggle = document.createElement("button");
    toggle.type = "button";
    toggle.className = "tasktree-toggle";
    const name = row.querySelector("a");
    toggle.setAttribute("aria-label", `${label} ${name.textContent.trim()}`);
    toggle.setAttribute("aria-expanded", String(open));
    toggle.addEventListener("click", press);
    name.before(toggle);
}
