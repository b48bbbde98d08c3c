/* The SVG elements of a timeline. Sizes are in units of the drawing. */

import { MARK, subRunMark } from "../drawing/sub_run.js";
import { make, short, stateLabel } from "../drawing/svg.js";
import { secondsText } from "../texts/durations.js";
import { numberText, unitsOfPage } from "../texts/page.js";
import { marksOf, scaleOf, spanOf, WIDTH } from "./axis.js";
import { byWorker, lanesOf } from "./lanes.js";

const LANE = 20;
const HEIGHT = LANE - 5;
/** Height of the axis above the first lane. */
const TOP = 26;
/** Space between the lanes of two workers. */
const GAP = 10;
/** Maximum number of letters of a worker's name beside its lanes. */
const LETTERS = 28;
/** Width of a letter in the name of a bar. */
const LETTER = 8;

function seconds(value) {
    return secondsText(numberText(value), unitsOfPage());
}

function markElements(at, place, height) {
    const text = { x: place(at), y: 12, "text-anchor": "middle", class: "tasktree-tick-label" };
    return [
        make("line", { x1: place(at), x2: place(at), y1: 18, y2: height, class: "tasktree-tick" }),
        make("text", text, seconds(at)),
    ];
}

function titleOf(panel, bar) {
    const state = stateLabel(panel, bar.state);
    return `${bar.name}: ${state}, ${seconds(bar.start)} – ${seconds(bar.end)}, ${bar.worker}`;
}

/** Return a bar, which links to the page of its node; and, if there is room for it, the mark of a sub-run. */
function barElements(panel, bar, place, y) {
    const link = make("a", { href: bar.link, "data-key": bar.id });
    const x = place(bar.start);
    const width = Math.max(place(bar.end) - x, 2);
    link.append(make("title", {}, titleOf(panel, bar)));
    link.append(make("rect", { x, y, width, height: HEIGHT, rx: 2, class: `tasktree-fill-${bar.state}` }));
    const marks = width > MARK + 8 ? subRunMark(panel, bar, x + width, y + HEIGHT / 2) : [];
    if (width > LETTER * bar.name.length + marks.length * MARK) {
        link.append(make("text", { x: x + 4, y: y + 11, class: "tasktree-bar-label" }, bar.name));
    }
    return [link, ...marks];
}

function workerLabel(worker, y) {
    const label = make("text", { x: 0, y: y + 11, class: "tasktree-lane" }, short(worker, LETTERS) || "–");
    label.append(make("title", {}, worker));
    return label;
}

/** Return the lanes of all workers, and their total height. */
function laneElements(panel, bars, place) {
    const group = make("g");
    let y = TOP;
    for (const [worker, mine] of byWorker(bars)) {
        const { lanes, count } = lanesOf(mine);
        group.append(workerLabel(worker, y));
        group.append(...mine.flatMap((bar, index) => barElements(panel, bar, place, y + lanes[index] * LANE)));
        y += count * LANE + GAP;
    }
    return { group, height: y };
}

/** Return the drawing of bars. There must be at least one, and each must have an end. */
export function drawingOf(panel, bars) {
    const span = spanOf(bars);
    const place = scaleOf(span);
    const { group, height } = laneElements(panel, bars, place);
    const svg = make("svg", {
        role: "group",
        "aria-label": panel.dataset.label,
        class: "tasktree-drawing",
        viewBox: `0 0 ${WIDTH} ${height}`,
    });
    svg.append(...marksOf(span).flatMap((at) => markElements(at, place, height)), group);
    return svg;
}
