/* Which node ran when, and on which worker: a lane for each body that ran at the same time there. */
"use strict";

(function () {
    const panel = document.getElementById("timeline");
    if (!panel) {
        return;
    }
    const make = window.tasktreeSvg;
    const WIDTH = 1000;
    const LEFT = 190;
    const LANE = 20;
    const canvas = panel.querySelector(".tasktree-canvas");
    const note = panel.querySelector("[role=status]");
    const pages = panel.querySelector(".tasktree-pages");
    const chosen = pages.querySelector("input");
    let page = 1;
    let drawn = "";

    /** Put bars that overlap into lanes of their own. */
    function lanesOf(bars) {
        const ends = [];
        for (const bar of bars) {
            let lane = ends.findIndex((end) => end <= bar.start);
            lane = lane < 0 ? ends.length : lane;
            ends[lane] = Math.max(bar.end, bar.start + 0.001);
            bar.lane = lane;
        }
        return ends.length;
    }

    function byWorker(bars) {
        const workers = new Map();
        for (const bar of bars) {
            workers.set(bar.worker, [...(workers.get(bar.worker) || []), bar]);
        }
        return workers;
    }

    function step(span) {
        const rough = span / 6;
        const power = Math.pow(10, Math.floor(Math.log10(rough)));
        return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
    }

    function seconds(value) {
        return value.toLocaleString(undefined, { maximumFractionDigits: 3 }) + " s";
    }

    function axis(svg, from, to, place, height) {
        const each = step(to - from);
        for (let at = Math.ceil(from / each) * each; at <= to; at += each) {
            svg.append(make("line", { x1: place(at), x2: place(at), y1: 18, y2: height, class: "tasktree-tick" }));
            svg.append(make("text", { x: place(at), y: 12, "text-anchor": "middle", class: "tasktree-tick-label" }, seconds(at)));
        }
    }

    function barOf(bar, place, y) {
        const link = make("a", { href: bar.link, "data-key": bar.id });
        const title = `${bar.name}: ${bar.state}, ${seconds(bar.start)} – ${seconds(bar.end)}, ${bar.worker}`;
        link.append(make("title", {}, title));
        const width = Math.max(place(bar.end) - place(bar.start), 2);
        link.append(
            make("rect", { x: place(bar.start), y: y, width: width, height: LANE - 5, rx: 2, class: "tasktree-fill-" + bar.state })
        );
        if (width > 8 * bar.name.length) {
            link.append(make("text", { x: place(bar.start) + 4, y: y + 11, class: "tasktree-bar-label" }, bar.name));
        }
        return link;
    }

    function draw(answer) {
        const now = (window.tasktreeNow() - Date.parse(answer.origin)) / 1000;
        // What still runs reaches up to now.
        const bars = answer.bars.map((bar) => ({ ...bar, end: bar.end === null ? Math.max(now, bar.start) : bar.end }));
        if (!bars.length) {
            canvas.replaceChildren();
            note.textContent = panel.dataset.empty;
            return;
        }
        const from = Math.min(...bars.map((bar) => bar.start));
        const to = Math.max(...bars.map((bar) => bar.end), from + 0.01);
        const place = (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - 30);
        const svg = make("svg", { role: "group", "aria-label": panel.dataset.label, class: "tasktree-drawing" });
        const lanes = make("g");
        let y = 26;
        for (const [worker, mine] of byWorker(bars)) {
            const name = worker.length > 28 ? worker.slice(0, 27) + "…" : worker;
            const label = make("text", { x: 0, y: y + 11, class: "tasktree-lane" }, name || "–");
            label.append(make("title", {}, worker));
            lanes.append(label);
            const count = lanesOf(mine);
            mine.forEach((bar) => lanes.append(barOf(bar, place, y + bar.lane * LANE)));
            y += count * LANE + 10;
        }
        axis(svg, from, to, place, y);
        svg.append(lanes);
        svg.setAttribute("viewBox", `0 0 ${WIDTH} ${y}`);
        if (canvas.firstElementChild) {
            window.tasktreeMorph(canvas.firstElementChild, svg);
            canvas.firstElementChild.setAttribute("viewBox", svg.getAttribute("viewBox"));
        } else {
            canvas.replaceChildren(svg);
        }
        note.textContent = "";
    }

    function showPages(answer) {
        const [before, after] = pages.querySelectorAll("button");
        before.disabled = page === 1;
        after.disabled = page >= answer.pages;
        pages.hidden = answer.pages <= 1;
        chosen.max = answer.pages;
        if (document.activeElement !== chosen) {
            chosen.value = page;
        }
        pages.querySelector("span").textContent = panel.dataset.of.replace("%s", answer.pages.toLocaleString());
    }

    async function load() {
        const asked = page;
        const response = await window.tasktreeFetch(panel.dataset.url + "?page=" + page).catch(() => null);
        if (asked !== page) {
            return;
        }
        if (!response || !response.ok || response.redirected) {
            note.textContent = panel.dataset.failed;
            return;
        }
        const text = await response.text();
        const answer = JSON.parse(text);
        page = answer.page;
        if (text !== drawn || answer.bars.some((bar) => bar.end === null)) {
            drawn = text;
            draw(answer);
            showPages(answer);
        }
    }

    function turnTo(number) {
        page = Math.max(1, Math.floor(number) || 1);
        canvas.replaceChildren();
        window.tasktreeGoTo("timeline", page === 1 ? "" : String(page));
        load();
    }

    pages.querySelectorAll("button").forEach(function (button, index) {
        button.addEventListener("click", () => turnTo(page + (index ? 1 : -1)));
    });
    chosen.addEventListener("change", () => turnTo(Number(chosen.value)));
    panel.addEventListener("tasktree:shown", function (event) {
        page = Number(event.detail.place) || 1;
        load();
    });
    document.addEventListener("tasktree:changed", () => panel.hidden || load());
})();
