/* Move a graph with the arrow keys, and keep the focused box visible. */

import { moved, stepInto } from "./view.js";

/** Distance per key press in pixels. */
const STEP = 80;
const STEPS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function move(drawing, event) {
    if (drawing.view && event.target === drawing.canvas && event.key in STEPS) {
        event.preventDefault();
        drawing.look(moved(drawing.view, ...STEPS[event.key]));
    }
}

function follow(drawing, event) {
    const group = event.target.closest("[data-key]");
    if (!group || !drawing.view) {
        return;
    }
    const outer = drawing.size;
    const inner = group.getBoundingClientRect();
    const x = stepInto(inner.left, inner.right, outer.left, outer.right);
    const y = stepInto(inner.top, inner.bottom, outer.top, outer.bottom);
    drawing.canvas.scrollTo(0, 0);
    drawing.look(moved(drawing.view, x, y));
}

export function startKeyboard(drawing) {
    drawing.canvas.addEventListener("keydown", (event) => move(drawing, event));
    drawing.canvas.addEventListener("focusin", (event) => follow(drawing, event));
}
