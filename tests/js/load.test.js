/* What an answer means that is not the one that was asked for. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, NotLoaded, refusalOf } from "#js/polling/load.js";

const answer = (status, redirected = false) => ({ status, redirected, ok: status >= 200 && status < 300 });

test("refusals", () => {
    assert.equal(refusalOf(answer(200)), "");
    assert.equal(refusalOf(answer(200, true)), "loggedOut");
    assert.equal(refusalOf(answer(401)), "loggedOut");
    for (const status of [403, 404, 410]) {
        assert.equal(refusalOf(answer(status)), "gone");
    }
    for (const status of [400, 429, 500, 503]) {
        assert.equal(refusalOf(answer(status)), "away");
    }
});

test("a server that can't be reached is away", async () => {
    await assert.rejects(ask("http://127.0.0.1:9/"), (error) => {
        assert.ok(error instanceof NotLoaded);
        assert.deepEqual([error.reason, error.hung], ["away", false]);
        return true;
    });
});

test("a server that does not answer in time hangs", () => {
    const timeout = new DOMException("too late", "TimeoutError");
    assert.equal(new NotLoaded("away", timeout).hung, true);
});
