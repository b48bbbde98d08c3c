/* The timeline of a run: which node ran when, on which worker. Tasks that run at the same time have separate lanes. */

import { loadDrawing, tell } from "../drawing/source.js";
import { now } from "../polling/clock.js";
import { morph } from "../polling/morph.js";
import { goTo } from "../tree/tabs.js";
import { drawingOf } from "./drawing.js";
import { Pager } from "./pager.js";

/** Return the bars of an answer. The end of a task that is still running is now. */
function endedBars({ bars, origin }) {
    const present = (now() - Date.parse(origin)) / 1000;
    return bars.map((bar) => ({ ...bar, end: bar.end === null ? Math.max(present, bar.start) : bar.end }));
}

class Timeline {
    constructor(panel) {
        this.panel = panel;
        this.canvas = panel.querySelector(".tasktree-canvas");
        this.pager = new Pager(panel, this);
        this.page = 1;
        this.drawn = "";
    }

    async load() {
        const text = await loadDrawing(this.panel, () => `${this.panel.dataset.url}?page=${this.page}`);
        if (text === null) {
            return;
        }
        const answer = JSON.parse(text);
        this.page = answer.page;
        tell(this.panel, answer.bars.length ? "" : this.panel.dataset.empty);
        if (text !== this.drawn || answer.bars.some((bar) => bar.end === null)) {
            this.drawn = text;
            this.draw(endedBars(answer));
            this.pager.show(answer.page, answer.pages);
        }
    }

    draw(bars) {
        const old = this.canvas.firstElementChild;
        if (!bars.length) {
            this.canvas.replaceChildren();
        } else if (old) {
            const fresh = drawingOf(this.panel, bars);
            morph(old, fresh);
            old.setAttribute("viewBox", fresh.getAttribute("viewBox"));
        } else {
            this.canvas.replaceChildren(drawingOf(this.panel, bars));
        }
    }

    turnBy(step) {
        this.turnTo(this.page + step);
    }

    turnTo(number) {
        this.page = Math.max(1, Math.floor(number) || 1);
        this.canvas.replaceChildren();
        this.drawn = "";
        goTo("timeline", this.page === 1 ? "" : String(this.page));
        this.load();
    }

    show(place) {
        this.page = Number(place) || 1;
        this.load();
    }
}

export function startTimeline() {
    const panel = document.getElementById("timeline");
    const timeline = new Timeline(panel);
    panel.addEventListener("tasktree:shown", (event) => timeline.show(event.detail.place));
    document.addEventListener("tasktree:changed", () => panel.hidden || timeline.load());
}
