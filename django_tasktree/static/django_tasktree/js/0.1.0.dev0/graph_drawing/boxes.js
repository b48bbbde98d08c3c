/* The SVG elements of a graph. */

import { subRunMark } from "../drawing/sub_run.js";
import { make, short, stateLabel } from "../drawing/svg.js";
import { numberText } from "../texts/page.js";
import { edgePath, gatherPairs, gatherPath, HEIGHT, isBundle, keyOf, WIDTH } from "./layout.js";

/** Maximum number of letters of a name in a box. */
const LETTERS = 20;
/** The same beside the mark of a sub-run. */
const LETTERS_BESIDE_MARK = 16;
const at = (x, y) => `translate(${x},${y})`;

function edge(from, to) {
    const kind = isBundle(to.data) ? " tasktree-edge-rest" : "";
    const key = `edge ${keyOf(to.data)}`;
    return make("path", { d: edgePath(from, to), class: `tasktree-edge${kind}`, "data-key": key });
}

/** Return the dashed line from a node to the gather node that waits for it. */
function gatherEdge([gather, child]) {
    const key = `gather ${keyOf(gather.data)} ${keyOf(child.data)}`;
    return make("path", {
        d: gatherPath(child, gather),
        class: "tasktree-edge tasktree-edge-gather",
        "data-key": key,
    });
}

const frame = (radius) => make("rect", { y: -HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: radius });

/** Return the box of a node, which links to its page. */
function box(panel, node) {
    const data = node.data;
    const group = make(data.link ? "a" : "g", {
        class: `tasktree-box tasktree-box-${data.state}${data.leads ? " tasktree-box-leads" : ""}`,
        transform: at(node.y, node.x),
        "data-key": `box ${data.id}`,
        ...(data.link ? { href: data.link } : {}),
    });
    const leads = data.leads ? `; ${panel.dataset.leads}` : "";
    group.append(make("title", {}, `${data.name}: ${stateLabel(panel, data.state)}${leads}`));
    group.append(frame(data.gather ? 11 : 3));
    group.append(make("circle", { cx: 12, r: 5, class: `tasktree-fill-${data.state}` }));
    group.append(make("text", { x: 24, y: 4 }, short(data.name, data.run ? LETTERS_BESIDE_MARK : LETTERS)));
    return group;
}

/** Return the button for a bundle (the nodes of a fan that are not drawn), which draws more of them. */
function bundle(panel, node) {
    const data = node.data;
    const text = panel.dataset.rest.replace("%s", numberText(data.count));
    const group = make("g", {
        class: "tasktree-box tasktree-box-bundle",
        transform: at(node.y, node.x),
        role: "button",
        tabindex: "0",
        "aria-label": text,
        "data-key": `rest ${data.parent}`,
        "data-open": data.parent,
        "data-shown": data.shown,
    });
    group.append(frame(3), make("text", { x: 12, y: 4 }, `+ ${text}`));
    return group;
}

/** Return the button that shows the children of a node, if they are not drawn, or leads up from the top node. */
function into(panel, node) {
    const data = node.data;
    const up = data.top && data.up !== undefined;
    if (!up && (!data.children || node.children?.length)) {
        return [];
    }
    const button = make("g", {
        class: "tasktree-into",
        role: "button",
        tabindex: "0",
        transform: at(up ? node.y - 26 : node.y + WIDTH + 6, node.x),
        "aria-label": up ? panel.dataset.up : `${panel.dataset.into} ${data.name}`,
        "data-key": `into ${data.id}`,
        "data-go": up ? data.up : data.id,
    });
    button.append(make("circle", { cx: 10, r: 12, class: "tasktree-touch" }));
    button.append(make("circle", { cx: 10, r: 9 }));
    button.append(make("text", { x: 10, y: 4, "text-anchor": "middle" }, up ? "‹" : "›"));
    return [button];
}

/** Return all elements of a graph, in the order of drawing: lines, boxes, marks, buttons. */
export function elementsOf(panel, placed) {
    const lines = placed.flatMap((node) => [
        ...(node.parent ? [edge(node.parent, node)] : []),
        ...gatherPairs(node).map(gatherEdge),
    ]);
    const boxes = placed.map((node) => (isBundle(node.data) ? bundle(panel, node) : box(panel, node)));
    const marks = placed.flatMap((node) => subRunMark(panel, node.data, node.y + WIDTH, node.x));
    return [...lines, ...boxes, ...marks, ...placed.flatMap((node) => into(panel, node))];
}
