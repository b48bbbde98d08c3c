/* The lanes and the axis of a timeline. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { LEFT, marksOf, scaleOf, spanOf, stepOf, WIDTH } from "#js/timeline_drawing/axis.js";
import { byWorker, lanesOf } from "#js/timeline_drawing/lanes.js";

const bars = (...spans) => spans.map(([start, end]) => ({ start, end }));

test("bars that follow each other share a lane", () => {
    assert.deepEqual(lanesOf(bars([0, 1], [1, 2], [5, 6])), { lanes: [0, 0, 0], count: 1 });
});

test("bars that overlap have lanes of their own, and the first free lane is taken", () => {
    const { lanes, count } = lanesOf(bars([0, 4], [1, 2], [1.5, 3], [2, 5], [4, 6]));
    assert.deepEqual(lanes, [0, 1, 2, 1, 0]);
    assert.equal(count, 3);
});

test("bars that take no time and begin together do not hide each other", () => {
    assert.deepEqual(lanesOf(bars([1, 1], [1, 1])).lanes, [0, 1]);
});

test("no bars need no lane", () => {
    assert.deepEqual(lanesOf([]), { lanes: [], count: 0 });
});

test("bars are grouped by worker, in the order of their first bars", () => {
    const [a, b, c] = [{ worker: "two" }, { worker: "one" }, { worker: "two" }];
    assert.deepEqual(Array.from(byWorker([a, b, c])), [
        ["two", [a, c]],
        ["one", [b]],
    ]);
});

test("the axis goes from the first start to the last end", () => {
    const span = spanOf(bars([3, 4], [5, 9], [6, 7]));
    assert.deepEqual(span, { from: 3, to: 9 });
    const place = scaleOf(span);
    assert.equal(place(3), LEFT);
    assert.equal(place(6), (LEFT + WIDTH - 30) / 2);
    assert.equal(place(9), WIDTH - 30);
});

test("even a bar that takes no time has an axis", () => {
    const span = spanOf(bars([2, 2]));
    assert.ok(span.to > span.from);
    assert.ok(Number.isFinite(scaleOf(span)(2)));
    assert.ok(marksOf(span).length > 1);
});

test("marks are at round numbers, about six of them", () => {
    assert.deepEqual([6, 7, 13, 31, 61, 3600].map(stepOf), [1, 2, 5, 10, 20, 1000]);
    assert.deepEqual(marksOf({ from: 0.5, to: 12 }), [2, 4, 6, 8, 10, 12]);
    for (let span = 0.01; span < 1e6; span *= 1.37) {
        const number = marksOf({ from: 0, to: span }).length;
        assert.ok(number >= 3 && number <= 7, `${number} marks for ${span}`);
    }
});
