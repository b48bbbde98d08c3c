/* Assign the bars of a timeline to lanes. Independent of the page. */

/** Minimum length of a bar in seconds. */
const SHORTEST = 0.001;

/** Return the bars by worker, in the order in which the workers first occur. */
export function byWorker(bars) {
    const workers = new Map();
    for (const bar of bars) {
        workers.set(bar.worker, [...(workers.get(bar.worker) || []), bar]);
    }
    return workers;
}

/**
 * Assign a lane to each bar, so that bars in a lane do not overlap.
 *
 * @param {{start: number, end: number}[]} bars - in the order of their starts, in seconds.
 * @returns {{lanes: number[], count: number}} the lane of each bar, and the number of lanes.
 */
export function lanesOf(bars) {
    const ends = [];
    const lanes = bars.map((bar) => {
        const free = ends.findIndex((end) => end <= bar.start);
        const lane = free < 0 ? ends.length : free;
        ends[lane] = Math.max(bar.end, bar.start + SHORTEST);
        return lane;
    });
    return { lanes, count: ends.length };
}
