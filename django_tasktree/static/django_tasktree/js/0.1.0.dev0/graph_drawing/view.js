/* The visible part and the scale of a graph. Independent of the page; sizes are those of the canvas, in pixels. */

/** Limits of the scale, in pixels per unit. Below the minimum, texts of 12 units would be smaller than 9 pixels. */
export const MIN_SCALE = 0.8;
export const MAX_SCALE = 3;
/** The maximum scale at which a small graph is fitted into the canvas. */
const LARGEST = 1.4;
/** The part of the graph, in units, that always stays visible. */
const KEPT = { x: 60, y: 40 };

const within = (value, least, most) => Math.min(Math.max(value, least), most);

/** Return the size of the canvas in units. */
export const roomOf = (view, size) => ({ x: size.width / view.scale, y: size.height / view.scale });

/** Return a view of the whole graph or, if its texts would be too small, of its left side around the root's row. */
export function fitted(bounds, row, size) {
    const whole = { x: bounds.right - bounds.x, y: bounds.bottom - bounds.y };
    const scale = Math.min(Math.max(Math.min(size.width / whole.x, size.height / whole.y), MIN_SCALE), LARGEST);
    const room = roomOf({ scale }, size);
    const x = whole.x > room.x ? bounds.x : bounds.x - (room.x - whole.x) / 2;
    const y = whole.y > room.y ? row - room.y / 2 : bounds.y - (room.y - whole.y) / 2;
    return { x, y, scale };
}

/** Return the view, moved so far that a part of the graph is visible. */
export function kept(view, bounds, size) {
    const room = roomOf(view, size);
    return {
        ...view,
        x: within(view.x, bounds.x - room.x + KEPT.x, bounds.right - KEPT.x),
        y: within(view.y, bounds.y - room.y + KEPT.y, bounds.bottom - KEPT.y),
    };
}

export function showsAll(view, bounds, size) {
    const room = roomOf(view, size);
    const inside = bounds.x >= view.x && bounds.right <= view.x + room.x;
    return inside && bounds.y >= view.y && bounds.bottom <= view.y + room.y;
}

/** Return the view, zoomed around a point of the canvas: 0, 0 is the top left corner, 1, 1 the bottom right. */
export function zoomed(view, factor, size, { x, y } = { x: 0.5, y: 0.5 }) {
    const scale = within(view.scale * factor, MIN_SCALE, MAX_SCALE);
    const before = roomOf(view, size);
    const after = roomOf({ scale }, size);
    return { x: view.x + (before.x - after.x) * x, y: view.y + (before.y - after.y) * y, scale };
}

/** Return the view, moved by pixels. */
export const moved = (view, x, y) => ({ ...view, x: view.x + x / view.scale, y: view.y + y / view.scale });

/** Return the view, centred at a point of the map, which has its own size. */
export function centred(view, bounds, size, point, mapSize) {
    const whole = { x: bounds.right - bounds.x, y: bounds.bottom - bounds.y };
    const scale = Math.max(whole.x / mapSize.width, whole.y / mapSize.height);
    const room = roomOf(view, size);
    return {
        ...view,
        x: bounds.x + whole.x / 2 + (point.x - mapSize.width / 2) * scale - room.x / 2,
        y: bounds.y + whole.y / 2 + (point.y - mapSize.height / 2) * scale - room.y / 2,
    };
}

/** Return the distance to move, in pixels, so that a box from `low` to `high` is between `least` and `most`. */
export function stepInto(low, high, least, most, margin = 20) {
    if (low < least) {
        return low - least - margin;
    }
    return high > most ? high - most + margin : 0;
}
