/* The buttons and the input below a timeline that select its page. */

import { numberText } from "../texts/page.js";

export class Pager {
    /**
     * @param {Element} panel - the panel of the timeline.
     * @param {{turnBy: function(number), turnTo: function(number)}} book - changes the page.
     */
    constructor(panel, book) {
        this.panel = panel;
        this.nav = panel.querySelector(".tasktree-pages");
        this.chosen = this.nav.querySelector("input");
        [this.before, this.after] = this.nav.querySelectorAll("button");
        this.before.addEventListener("click", () => book.turnBy(-1));
        this.after.addEventListener("click", () => book.turnBy(1));
        this.chosen.addEventListener("change", () => book.turnTo(Number(this.chosen.value)));
    }

    show(page, pages) {
        this.before.disabled = page === 1;
        this.after.disabled = page >= pages;
        this.nav.hidden = pages <= 1;
        this.chosen.max = pages;
        if (document.activeElement !== this.chosen) {
            this.chosen.value = page;
        }
        this.nav.querySelector("span").textContent = this.panel.dataset.of.replace("%s", numberText(pages));
    }
}
