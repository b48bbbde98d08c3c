/* The positions of the boxes and lines of a graph. Independent of the page. */

import { stratify, tree } from "../vendor/d3-hierarchy.js";

/** Sizes in units of the drawing. */
const ROW = 30;
const COLUMN = 190;
export const WIDTH = 150;
export const HEIGHT = 22;
/** The extent of the curve of a line between two boxes in the same column. */
const BOW = 18;
/** Space around all boxes, for the buttons beside them. */
const MARGIN = { left: 34, right: 44, y: 24 };

/** Return the ID of a node. A bundle (the nodes of a fan that are not drawn) has none of its own. */
export const keyOf = (node) => node.id || `${node.parent}:rest`;

export const isBundle = (node) => node.count !== undefined;

/** Return the tree of nodes with positions. Nodes whose parent is missing are omitted. */
export function layOut(nodes) {
    const known = new Set(nodes.map(keyOf));
    const usable = nodes.filter((node) => node.top || known.has(node.parent));
    const root = stratify()
        .id(keyOf)
        .parentId((node) => (node.top ? null : node.parent))(usable);
    return tree().nodeSize([ROW, COLUMN])(root);
}

/** Return the bounding box of all nodes. */
export function boundsOf(placed) {
    const rows = placed.map((node) => node.x);
    return {
        x: -MARGIN.left,
        y: Math.min(...rows) - MARGIN.y,
        right: Math.max(...placed.map((node) => node.y)) + WIDTH + MARGIN.right,
        bottom: Math.max(...rows) + MARGIN.y,
    };
}

/** Return the path of the line from a node to a child. */
export function edgePath(from, to) {
    const middle = (from.y + WIDTH + to.y) / 2;
    return `M${from.y + WIDTH},${from.x}C${middle},${from.x} ${middle},${to.x} ${to.y},${to.x}`;
}

/** Return the path of the line from the right end of a node to that of the gather node that waits for it. */
export function gatherPath(child, gather) {
    const bow = Math.max(child.y, gather.y) + WIDTH + BOW;
    const end = `${gather.y + WIDTH},${gather.x}`;
    return `M${child.y + WIDTH},${child.x}C${bow},${child.x} ${bow},${gather.x} ${end}`;
}

/** Return all pairs of a gather node and a sibling for which it waits, among the children of a node. */
export function gatherPairs(node) {
    const children = node.children || [];
    const others = children.filter((child) => !child.data.gather);
    return children.filter((child) => child.data.gather).flatMap((gather) => others.map((child) => [gather, child]));
}
