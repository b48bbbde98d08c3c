/* The graph of a run. It can be dragged, and zoomed with Ctrl and the wheel or with buttons; texts stay readable. Large
   fans are drawn in part, with a button for more. Deep nodes have a button that shows their children. */

import { loadDrawing } from "../drawing/source.js";
import { goTo } from "../tree/tabs.js";
import { Drawing } from "./drawing.js";
import { startKeyboard } from "./keyboard.js";
import { startPointer, startZoom } from "./pointer.js";

/** The number of nodes that a press on the button of a bundle adds. */
const MORE = 20;

const buttonOf = (event) => event.target.closest("[data-go], [data-open]");

class Graph {
    constructor(panel) {
        this.panel = panel;
        this.drawing = new Drawing(panel);
        this.parent = "";
        /** The number of children to draw, by node. */
        this.opened = new Map();
        this.drawn = "";
    }

    get address() {
        const query = new URLSearchParams();
        if (this.parent) {
            query.set("parent", this.parent);
        }
        if (this.opened.size) {
            query.set("open", Array.from(this.opened, (pair) => pair.join(":")).join(","));
        }
        return `${this.panel.dataset.url}?${query}`;
    }

    async load() {
        const text = await loadDrawing(this.panel, () => this.address);
        if (text !== null && (text !== this.drawn || !this.drawing.view)) {
            this.drawn = text;
            this.draw();
        }
    }

    draw() {
        this.drawing.draw(JSON.parse(this.drawn).nodes);
    }

    /** Select another node as the top of the graph. */
    enter(parent) {
        this.parent = parent;
        this.drawing.view = null;
    }

    press(button) {
        if (button.dataset.go !== undefined) {
            this.enter(button.dataset.go);
            goTo("graph", this.parent);
        } else {
            this.opened.set(button.dataset.open, Number(button.dataset.shown) + MORE);
        }
        this.load();
    }

    click(event) {
        const button = buttonOf(event);
        if (button) {
            this.press(button);
        }
    }

    pressKey(event) {
        const button = buttonOf(event);
        if (button && ["Enter", " "].includes(event.key)) {
            event.preventDefault();
            this.press(button);
        }
    }

    show(place) {
        if (place !== this.parent) {
            this.enter(place);
        }
        this.load();
    }

    showAll() {
        this.drawing.view = null;
        this.draw();
    }

    resize() {
        if (this.drawing.view) {
            this.drawing.look(this.drawing.view);
        }
    }
}

export function startGraph() {
    const panel = document.getElementById("graph");
    const graph = new Graph(panel);
    const { drawing } = graph;
    startPointer(drawing);
    startKeyboard(drawing);
    startZoom(drawing, () => graph.showAll());
    drawing.canvas.addEventListener("click", (event) => graph.click(event));
    drawing.canvas.addEventListener("keydown", (event) => graph.pressKey(event));
    panel.addEventListener("tasktree:shown", (event) => graph.show(event.detail.place));
    window.addEventListener("resize", () => graph.resize());
    document.addEventListener("tasktree:changed", () => panel.hidden || graph.load());
}
