/* Durations are counted in the words that the server gives. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { durationText, secondsText } from "#js/texts/durations.js";

const UNITS = {
    seconds: "%(number)s s",
    minutes: "%(minutes)d min %(seconds)02d s",
    hours: "%(hours)d h %(minutes)02d min",
};

test("durations by their largest unit", () => {
    const texts = [0, 59, 60, 307, 3599, 3600, 7500, 360_000].map((seconds) => durationText(seconds, UNITS));
    assert.deepEqual(texts, [
        "0 s",
        "59 s",
        "1 min 00 s",
        "5 min 07 s",
        "59 min 59 s",
        "1 h 00 min",
        "2 h 05 min",
        "100 h 00 min",
    ]);
});

test("the words are those of a language, in its order", () => {
    const units = { ...UNITS, minutes: "%(seconds)02d sek, %(minutes)d min", seconds: "秒 %(number)s" };
    assert.equal(durationText(61, units), "01 sek, 1 min");
    assert.equal(secondsText("1,5", units), "秒 1,5");
});
