/* Move a graph by dragging it or its map. The end of a drag does not count as a click. */

import { centred, moved, zoomed } from "./view.js";

/** Maximum movement of a click, in pixels. */
const STILL = 4;
const WHEEL = 1.15;
const BUTTON = 1.3;

class Pointer {
    constructor(drawing) {
        this.drawing = drawing;
        this.dragged = null;
        this.hasMoved = false;
    }

    press(event) {
        if (this.drawing.view && event.button === 0) {
            const onMap = this.drawing.map.contains(event.target);
            this.dragged = { x: event.clientX, y: event.clientY, onMap };
            this.hasMoved = onMap;
            if (onMap) {
                this.moveMap(event);
            }
        }
    }

    move(event) {
        if (!this.dragged || !this.drawing.view) {
            return;
        }
        const x = event.clientX - this.dragged.x;
        const y = event.clientY - this.dragged.y;
        this.hasMoved = this.hasMoved || Math.hypot(x, y) > STILL;
        if (this.dragged.onMap) {
            this.moveMap(event);
        } else if (this.hasMoved) {
            this.drawing.look(moved(this.drawing.view, -x, -y));
            this.dragged = { x: event.clientX, y: event.clientY, onMap: false };
        }
    }

    moveMap(event) {
        const { view, bounds, size, map } = this.drawing;
        const place = map.getBoundingClientRect();
        const point = { x: event.clientX - place.left, y: event.clientY - place.top };
        this.drawing.look(centred(view, bounds, size, point, place));
    }

    release() {
        this.dragged = null;
    }

    click(event) {
        if (this.hasMoved) {
            event.preventDefault();
            event.stopPropagation();
        }
        this.hasMoved = false;
    }

    wheel(event) {
        const { view, size } = this.drawing;
        if (view && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            const place = {
                x: (event.clientX - size.left) / size.width,
                y: (event.clientY - size.top) / size.height,
            };
            this.drawing.look(zoomed(view, event.deltaY > 0 ? 1 / WHEEL : WHEEL, size, place));
        }
    }
}

/** Listen for the mouse and for touches. */
export function startPointer(drawing) {
    const { canvas } = drawing;
    const pointer = new Pointer(drawing);
    canvas.addEventListener("pointerdown", (event) => pointer.press(event));
    window.addEventListener("pointermove", (event) => pointer.move(event));
    window.addEventListener("pointerup", () => pointer.release());
    window.addEventListener("pointercancel", () => pointer.release());
    canvas.addEventListener("dragstart", (event) => event.preventDefault());
    canvas.addEventListener("click", (event) => pointer.click(event), { capture: true });
    canvas.addEventListener("wheel", (event) => pointer.wheel(event), { passive: false });
}

/** Listen for the zoom buttons. `redraw` fits the graph into the canvas. */
export function startZoom(drawing, redraw) {
    const actions = {
        in: () => drawing.look(zoomed(drawing.view, BUTTON, drawing.size)),
        out: () => drawing.look(zoomed(drawing.view, 1 / BUTTON, drawing.size)),
        fit: redraw,
    };
    for (const button of drawing.panel.querySelectorAll("[data-zoom]")) {
        // Without a view, nothing is drawn yet, or the graph is being replaced.
        button.addEventListener("click", () => drawing.view && actions[button.dataset.zoom]());
    }
}
