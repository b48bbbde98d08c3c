/* The rows of a tree, which know their depth alone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { below, childrenOf, isComplete, parentOf, showOpen } from "#js/tree/rows.js";

/** Rows by name; more of what each is said to be may be given. */
function rows(depths, more = {}) {
    const made = Object.entries(depths).map(([name, depth]) => ({
        name,
        dataset: { depth: String(depth), ...more[name] },
        hidden: false,
    }));
    made.forEach((row, index) => {
        row.previousElementSibling = made[index - 1] || null;
        row.nextElementSibling = made[index + 1] || null;
    });
    return Object.fromEntries(made.map((row) => [row.name, row]));
}

const names = (found) => found.map((row) => row.name).join(" ");
const TREE = { a: 1, b: 2, c: 3, d: 2, e: 1, f: 2 };

test("what is below a row ends with the next of its level", () => {
    const tree = rows(TREE);
    assert.equal(names(below(tree.a)), "b c d");
    assert.equal(names(below(tree.c)), "");
    assert.equal(names(below(tree.e)), "f");
    assert.equal(names(childrenOf(tree.a)), "b d");
});

test("the parent is the next row before that is less deep", () => {
    const tree = rows(TREE);
    assert.equal(parentOf(tree.d), tree.a);
    assert.equal(parentOf(tree.c), tree.b);
    assert.equal(parentOf(tree.e), null);
});

test("a row is complete where all its children are shown, or a row leads to the rest", () => {
    const counted = (shown) => rows({ a: 1, b: 2, m: 2 }, { a: { shown, children: "5" }, m: {} }).a;
    assert.equal(isComplete(counted("5")), true);
    assert.equal(isComplete(counted("1")), false);
    assert.equal(isComplete(rows({ a: 1, m: 2 }, { a: { shown: "1", children: "5" }, m: { more: "1" } }).a), true);
});

test("rows are shown where all above them are open", () => {
    const tree = rows(TREE);
    const hidden = (...closed) => {
        showOpen(tree.a, (row) => !closed.includes(row.name));
        return names(Object.values(tree).filter((row) => row.hidden));
    };
    assert.equal(hidden(), "");
    assert.equal(hidden("a"), "b c d");
    assert.equal(hidden("b"), "c");
});
