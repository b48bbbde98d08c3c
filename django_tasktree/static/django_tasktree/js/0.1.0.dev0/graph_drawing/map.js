/* A small map of the graph with the position of the visible part, shown if the graph does not fit into the canvas. */

import { make } from "../drawing/svg.js";
import { HEIGHT, isBundle, WIDTH } from "./layout.js";
import { roomOf, showsAll } from "./view.js";

export function drawMap(map, placed, bounds) {
    map.setAttribute("viewBox", [bounds.x, bounds.y, bounds.right - bounds.x, bounds.bottom - bounds.y].join(" "));
    const boxes = placed.map((node) => {
        const state = isBundle(node.data) ? "bundle" : node.data.state;
        const place = { x: node.y, y: node.x - HEIGHT / 2, width: WIDTH, height: HEIGHT };
        return make("rect", { ...place, class: `tasktree-fill-${state}` });
    });
    map.replaceChildren(...boxes, make("rect", { class: "tasktree-map-view" }));
}

/** Mark the visible part on the map. */
export function frameMap(map, view, bounds, size) {
    map.toggleAttribute("hidden", showsAll(view, bounds, size));
    const room = roomOf(view, size);
    const places = { x: view.x, y: view.y, width: room.x, height: room.y };
    const frame = map.querySelector(".tasktree-map-view");
    for (const [name, value] of Object.entries(places)) {
        frame.setAttribute(name, value);
    }
}
