/* How often an open page looks. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { FAILURES, FASTEST, Pace, SLOWEST } from "#js/polling/pace.js";

function answer(pace, asked, tag) {
    const shown = pace.answered(asked, tag);
    pace.succeeded();
    return shown;
}

test("it looks seldomer and seldomer where nothing changes, but not too seldom", () => {
    const pace = new Pace();
    const pauses = Array.from({ length: 12 }, () => {
        answer(pace, "a", '"1"');
        return pace.pause;
    });
    assert.deepEqual(pauses.slice(0, 4), [1000, 1500, 2250, 3375]);
    assert.deepEqual(pauses.slice(-2), [SLOWEST, SLOWEST]);
});

test("it looks often again once something changes", () => {
    const pace = new Pace();
    for (let look = 0; look < 5; look += 1) {
        answer(pace, "a", '"1"');
    }
    answer(pace, "a", '"2"');
    assert.equal(pace.pause, FASTEST);
});

test("it never looks more often than the page wants", () => {
    let least = 15000;
    const pace = new Pace(() => least);
    assert.equal(pace.pause, 15000);
    answer(pace, "a", '"1"');
    least = 1000;
    answer(pace, "a", '"2"');
    assert.equal(pace.pause, FASTEST);
    least = 10000;
    answer(pace, "a", '"3"');
    assert.equal(pace.pause, 10000);
});

test("somebody who comes back does not wait", () => {
    const pace = new Pace(() => 15000);
    pace.hurry();
    assert.equal(pace.pause, FASTEST);
});

test("an answer that is shown is not shown again", () => {
    const pace = new Pace();
    assert.equal(answer(pace, "a", '"1"'), false);
    assert.equal(answer(pace, "a", '"1"'), true);
    assert.equal(answer(pace, "a", '"2"'), false);
});

test("answers without a tag are always shown", () => {
    const pace = new Pace();
    assert.equal(answer(pace, "a", null), false);
    assert.equal(answer(pace, "a", null), false);
    assert.equal(pace.pause, FASTEST);
});

test("addresses that take turns each have an answer of their own", () => {
    const pace = new Pace();
    answer(pace, "a", '"1"');
    answer(pace, "b", '"1"');
    // The page shows the answer for b now.
    assert.equal(answer(pace, "a", '"1"'), false);
    assert.equal(pace.pause, 1.5 * FASTEST);
    // Where one has changed, none of the others counts as known.
    answer(pace, "b", '"2"');
    assert.equal(answer(pace, "a", '"1"'), false);
    assert.equal(pace.pause, FASTEST);
});

test("a server that fails is asked seldomer, and counts as away after some times", () => {
    const pace = new Pace();
    const looks = Array.from({ length: FAILURES }, () => {
        pace.failed("a", false);
        return [pace.pause, pace.isAway];
    });
    assert.deepEqual(looks, [
        [2000, false],
        [4000, false],
        [8000, true],
    ]);
    pace.failed("a", false);
    assert.equal(pace.pause, SLOWEST);
});

test("a server that hangs counts as away at once", () => {
    const pace = new Pace();
    pace.failed("a", true);
    assert.equal(pace.isAway, true);
});

test("a server that is back is asked often, and what it says is shown", () => {
    const pace = new Pace();
    answer(pace, "a", '"1"');
    for (let look = 0; look < FAILURES; look += 1) {
        pace.failed("a", false);
    }
    assert.equal(answer(pace, "a", '"1"'), false);
    assert.deepEqual([pace.pause, pace.isAway], [FASTEST, false]);
});
