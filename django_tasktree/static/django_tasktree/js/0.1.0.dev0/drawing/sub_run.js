/* The mark of a node that has started a run of its own: a plus sign in a square, which links to that run. */

import { make } from "./svg.js";

/** Width and height in units of the drawing. */
export const MARK = 13;
/** Those of the area that can be touched. */
const TOUCH = 20;

/** Return the mark of a node whose box or bar ends at x, and has y as its middle; none if it has no sub-run. */
export function subRunMark(panel, data, x, y) {
    if (!data.run) {
        return [];
    }
    const text = `${panel.dataset.run}: ${data.name}`;
    const link = make("a", {
        class: "tasktree-sub-run",
        href: data.run,
        transform: `translate(${x - MARK - 4},${y - MARK / 2})`,
        "aria-label": text,
        "data-key": `run ${data.id}`,
    });
    link.append(make("title", {}, text));
    const edge = (MARK - TOUCH) / 2;
    link.append(make("rect", { x: edge, y: edge, width: TOUCH, height: TOUCH, class: "tasktree-touch" }));
    link.append(make("rect", { width: MARK, height: MARK, rx: 2 }));
    link.append(make("path", { d: `M3,${MARK / 2}H${MARK - 3}M${MARK / 2},3V${MARK - 3}` }));
    return [link];
}
