/* The layout of a graph, and the part of it that is seen. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { boundsOf, edgePath, gatherPairs, gatherPath, isBundle, keyOf, layOut } from "#js/graph_drawing/layout.js";
import {
    centred,
    fitted,
    kept,
    MAX_SCALE,
    MIN_SCALE,
    moved,
    showsAll,
    stepInto,
    zoomed,
} from "#js/graph_drawing/view.js";

const NODES = [
    { id: "top", top: true },
    { id: "a", parent: "top" },
    { id: "b", parent: "top" },
    { id: "g", parent: "top", gather: true },
    { parent: "a", count: 7 },
];
const SIZE = { width: 800, height: 400 };
const SMALL = { x: 0, y: 0, right: 400, bottom: 300 };
const LARGE = { x: 0, y: -2000, right: 4000, bottom: 2000 };
const placesOf = (root) => Object.fromEntries(root.descendants().map((node) => [keyOf(node.data), [node.y, node.x]]));

test("each level is a column, and siblings are rows apart", () => {
    assert.deepEqual(placesOf(layOut(NODES)), {
        top: [0, 0],
        a: [190, -30],
        b: [190, 0],
        g: [190, 30],
        "a:rest": [380, -30],
    });
});

test("a parent is in the middle of its children, and no two boxes are in one place", () => {
    const wide = Array.from({ length: 9 }, (_, number) => ({ id: `n${number}`, parent: "top" }));
    const deep = wide.flatMap(({ id }) => [0, 1].map((number) => ({ id: `${id}.${number}`, parent: id })));
    const places = placesOf(layOut([{ id: "top", top: true }, ...wide, ...deep]));
    assert.equal(new Set(Object.values(places).map(String)).size, 28);
    for (const { id } of wide) {
        assert.equal(places[id][1], (places[`${id}.0`][1] + places[`${id}.1`][1]) / 2);
    }
});

test("nodes whose parent is not there are left out", () => {
    const root = layOut([...NODES, { id: "lost", parent: "elsewhere" }]);
    assert.equal(root.descendants().length, NODES.length);
});

test("the frame has room for boxes and buttons", () => {
    const placed = layOut(NODES).descendants();
    assert.deepEqual(boundsOf(placed), { x: -34, y: -54, right: 380 + 150 + 44, bottom: 54 });
    assert.deepEqual(placed.map((node) => isBundle(node.data)).filter(Boolean), [true]);
});

test("lines lead from the right of a box to the left of the next", () => {
    assert.equal(edgePath({ x: 0, y: 0 }, { x: -30, y: 190 }), "M150,0C170,0 170,-30 190,-30");
    assert.equal(gatherPath({ x: 0, y: 190 }, { x: 30, y: 190 }), "M340,0C358,0 358,30 340,30");
});

test("a gather node waits for its siblings", () => {
    const pairs = gatherPairs(layOut(NODES)).map((pair) => pair.map((node) => keyOf(node.data)));
    assert.deepEqual(pairs, [
        ["g", "a"],
        ["g", "b"],
    ]);
});

test("a small graph is shown whole, in the middle", () => {
    const view = fitted(SMALL, 150, SIZE);
    assert.ok(showsAll(view, SMALL, SIZE));
    assert.ok(Math.abs(view.x + 800 / view.scale / 2 - 200) < 1e-9);
    assert.ok(Math.abs(view.y + 400 / view.scale / 2 - 150) < 1e-9);
});

test("a large one is shown from its root on, and can be read", () => {
    const view = fitted(LARGE, 100, SIZE);
    assert.deepEqual(view, { x: 0, y: 100 - 400 / MIN_SCALE / 2, scale: MIN_SCALE });
    assert.ok(!showsAll(view, LARGE, SIZE));
});

test("something of it stays in sight", () => {
    const away = kept({ x: 1e6, y: -1e6, scale: 1 }, SMALL, SIZE);
    assert.deepEqual([away.x, away.y], [400 - 60, 0 - 400 + 40]);
    const inside = { x: 10, y: 10, scale: 1 };
    assert.deepEqual(kept(inside, SMALL, SIZE), inside);
});

test("what is enlarged stays under the pointer, within limits", () => {
    const view = { x: 0, y: 0, scale: 1 };
    const larger = zoomed(view, 2, SIZE, { x: 0.25, y: 0.5 });
    assert.equal(larger.scale, 2);
    assert.deepEqual([larger.x + 200 / 2, larger.y + 200 / 2], [200, 200]);
    assert.equal(zoomed(view, 100, SIZE).scale, MAX_SCALE);
    assert.equal(zoomed(view, 0.01, SIZE).scale, MIN_SCALE);
});

test("it is moved by pixels, whatever its size", () => {
    assert.deepEqual(moved({ x: 1, y: 1, scale: 2 }, 10, -20), { x: 6, y: -9, scale: 2 });
});

test("the middle of the map is the middle of the graph", () => {
    const view = centred({ x: 9, y: 9, scale: 1 }, LARGE, SIZE, { x: 90, y: 55 }, { width: 180, height: 110 });
    assert.deepEqual([view.x + 400, view.y + 200], [2000, 0]);
});

test("a box that has the focus is brought into sight", () => {
    assert.equal(stepInto(50, 90, 0, 100), 0);
    assert.equal(stepInto(-30, 10, 0, 100), -50);
    assert.equal(stepInto(80, 130, 0, 100), 50);
});
