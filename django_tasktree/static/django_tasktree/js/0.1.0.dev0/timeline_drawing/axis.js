/* The axis of a timeline, in seconds since the start of the run. Independent of the page. */

/** Width in units of the drawing. */
export const WIDTH = 1000;
/** Width of the column with the names of workers. */
export const LEFT = 190;
const RIGHT = 30;
/** Approximate number of marks. */
const MARKS = 6;
/** Minimum length of the axis in seconds. */
const SHORTEST = 0.01;

/** Return the time from the first start to the last end of bars. */
export function spanOf(bars) {
    const from = Math.min(...bars.map((bar) => bar.start));
    return { from, to: Math.max(...bars.map((bar) => bar.end), from + SHORTEST) };
}

/** Return a function that converts seconds to an x coordinate. */
export function scaleOf({ from, to }) {
    return (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
}

/** Return the distance between marks: a round number of seconds. */
export function stepOf(span) {
    const rough = span / MARKS;
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
}

export function marksOf({ from, to }) {
    const step = stepOf(to - from);
    const marks = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
        marks.push(at);
    }
    return marks;
}
