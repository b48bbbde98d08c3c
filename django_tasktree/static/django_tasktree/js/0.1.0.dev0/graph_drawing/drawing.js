/* The drawing of a graph, and its visible part. */

import { make } from "../drawing/svg.js";
import { morph } from "../polling/morph.js";
import { elementsOf } from "./boxes.js";
import { boundsOf, layOut } from "./layout.js";
import { drawMap, frameMap } from "./map.js";
import { fitted, kept, roomOf } from "./view.js";

export class Drawing {
    constructor(panel) {
        this.panel = panel;
        this.canvas = panel.querySelector(".tasktree-canvas");
        this.map = panel.querySelector(".tasktree-map");
        this.svg = null;
        this.bounds = null;
        /** The visible part; null if nothing is drawn yet, or if the next drawing is to be fitted into the canvas. */
        this.view = null;
    }

    get size() {
        return this.canvas.getBoundingClientRect();
    }

    draw(nodes) {
        const root = layOut(nodes);
        const placed = root.descendants();
        const fresh = make("svg");
        fresh.append(...elementsOf(this.panel, placed));
        morph(this.surface(), fresh);
        this.bounds = boundsOf(placed);
        drawMap(this.map, placed, this.bounds);
        this.look(this.view || fitted(this.bounds, root.x, this.size));
    }

    surface() {
        if (!this.svg) {
            const label = this.panel.dataset.label;
            this.svg = make("svg", { role: "group", "aria-label": label, class: "tasktree-drawing" });
            this.canvas.prepend(this.svg);
        }
        return this.svg;
    }

    /** Show a part of the graph. */
    look(view) {
        this.view = view;
        const size = this.size;
        if (size.width) {
            this.view = kept(view, this.bounds, size);
            const room = roomOf(this.view, size);
            this.svg.setAttribute("viewBox", [this.view.x, this.view.y, room.x, room.y].join(" "));
            frameMap(this.map, this.view, this.bounds, size);
        }
    }
}
