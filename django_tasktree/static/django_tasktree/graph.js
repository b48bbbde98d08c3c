/* The graph of a run, laid out by d3-hierarchy: drag to move it, the wheel or the buttons to enlarge it. Its texts can
   be read at any size; a small map shows where one is when not all of it fits. */
"use strict";

(function () {
    const panel = document.getElementById("graph");
    if (!panel) {
        return;
    }
    const make = window.tasktreeSvg;
    const ROW = 30;
    const COLUMN = 190;
    const WIDTH = 150;
    /** Pixels to a unit: below the least, texts of 12 units would be smaller than 9 pixels. */
    const LEAST = 0.8;
    const MOST = 3;
    /** So many more of a bundle are drawn at a time. */
    const MORE = 20;
    /** Pixels: what moves less was a click. */
    const STILL = 4;
    const canvas = panel.querySelector(".tasktree-canvas");
    const map = panel.querySelector(".tasktree-map");
    const note = panel.querySelector("[role=status]");
    const opened = new Map();
    let parent = "";
    let drawn = "";
    let svg = null;
    let bounds = null;
    let view = null;

    const key = (node) => node.id || node.parent + ":rest";

    function layOut(nodes) {
        const known = new Set(nodes.map(key));
        const usable = nodes.filter((node) => node.top || known.has(node.parent));
        const root = d3.stratify().id(key).parentId((node) => (node.top ? null : node.parent))(usable);
        return d3.tree().nodeSize([ROW, COLUMN])(root);
    }

    function edge(from, to) {
        const kind = to.data.count !== undefined ? " tasktree-edge-rest" : "";
        const middle = (from.y + WIDTH + to.y) / 2;
        const path = `M${from.y + WIDTH},${from.x}C${middle},${from.x} ${middle},${to.x} ${to.y},${to.x}`;
        return make("path", { d: path, class: "tasktree-edge" + kind, "data-key": "edge " + key(to.data) });
    }

    /** A gather node waits for its siblings: a dashed line along their ends leads to it. */
    function gatherEdges(node) {
        const children = node.children || [];
        return children
            .filter((child) => child.data.gather)
            .flatMap((gather) =>
                children
                    .filter((child) => !child.data.gather)
                    .map((child) => {
                        const bow = Math.max(child.y, gather.y) + WIDTH + 18;
                        const path =
                            `M${child.y + WIDTH},${child.x}C${bow},${child.x} ${bow},${gather.x} ` +
                            `${gather.y + WIDTH},${gather.x}`;
                        const name = `gather ${key(gather.data)} ${key(child.data)}`;
                        return make("path", { d: path, class: "tasktree-edge tasktree-edge-gather", "data-key": name });
                    })
            );
    }

    function short(text) {
        return text.length > 20 ? text.slice(0, 19) + "…" : text;
    }

    /** A node: a link to its page. */
    function box(node) {
        const data = node.data;
        const group = make(data.link ? "a" : "g", {
            class: `tasktree-box tasktree-box-${data.state}` + (data.leads ? " tasktree-box-leads" : ""),
            transform: `translate(${node.y},${node.x})`,
            "data-key": "box " + data.id,
        });
        if (data.link) {
            group.setAttribute("href", data.link);
        }
        const state = panel.dataset["state-" + data.state] || data.state;
        const title = `${data.name}: ${state}` + (data.leads ? `; ${panel.dataset.leads}` : "");
        group.append(make("title", {}, title));
        group.append(make("rect", { y: -11, width: WIDTH, height: 22, rx: data.gather ? 11 : 3 }));
        group.append(make("circle", { cx: 12, r: 5, class: "tasktree-fill-" + data.state }));
        group.append(make("text", { x: 24, y: 4 }, short(data.name)));
        return group;
    }

    /** What is left out of a fan: a button that draws more of it. */
    function bundle(node) {
        const data = node.data;
        const text = panel.dataset.rest.replace("%s", data.count.toLocaleString());
        const group = make("g", {
            class: "tasktree-box tasktree-box-bundle",
            transform: `translate(${node.y},${node.x})`,
            role: "button",
            tabindex: "0",
            "aria-label": text,
            "data-key": "rest " + data.parent,
            "data-open": data.parent,
            "data-shown": data.shown,
        });
        group.append(make("rect", { y: -11, width: WIDTH, height: 22, rx: 3 }));
        group.append(make("text", { x: 12, y: 4 }, "+ " + text));
        return group;
    }

    /** A node whose children are not drawn: a button leads into it; one at the top leads up. */
    function into(node) {
        const data = node.data;
        const up = data.top && data.up !== undefined;
        if (!up && (!data.children || (node.children || []).length)) {
            return [];
        }
        const button = make("g", {
            class: "tasktree-into",
            role: "button",
            tabindex: "0",
            transform: `translate(${up ? node.y - 26 : node.y + WIDTH + 6},${node.x})`,
            "aria-label": up ? panel.dataset.up : `${panel.dataset.into} ${data.name}`,
            "data-key": "into " + data.id,
            "data-go": up ? data.up : data.id,
        });
        button.append(make("circle", { cx: 10, r: 12, class: "tasktree-touch" }));
        button.append(make("circle", { cx: 10, r: 9 }));
        button.append(make("text", { x: 10, y: 4, "text-anchor": "middle" }, up ? "‹" : "›"));
        return [button];
    }

    function draw(nodes) {
        const root = layOut(nodes);
        const fresh = make("svg", {});
        const layers = [[], [], []];
        root.each(function (node) {
            if (node.parent) {
                layers[0].push(edge(node.parent, node));
            }
            layers[0].push(...gatherEdges(node));
            layers[1].push(node.data.count === undefined ? box(node) : bundle(node));
            layers[2].push(...into(node));
        });
        fresh.append(...layers.flat());
        if (!svg) {
            svg = make("svg", { role: "group", "aria-label": panel.dataset.label, class: "tasktree-drawing" });
            canvas.prepend(svg);
        }
        window.tasktreeMorph(svg, fresh);
        const all = root.descendants();
        const rows = all.map((node) => node.x);
        bounds = {
            x: -34,
            y: Math.min(...rows) - 24,
            right: Math.max(...all.map((node) => node.y)) + WIDTH + 44,
            bottom: Math.max(...rows) + 24,
        };
        view = view || fitted(root);
        drawMap(all);
        look();
    }

    /** Show all of it, if its texts can be read then; else its beginning, from the root on. */
    function fitted(root) {
        const { width, height } = canvas.getBoundingClientRect();
        const whole = { width: bounds.right - bounds.x, height: bounds.bottom - bounds.y };
        const scale = Math.min(Math.max(Math.min(width / whole.width, height / whole.height), LEAST), 1.4);
        const room = { width: width / scale, height: height / scale };
        const x = whole.width > room.width ? bounds.x : bounds.x - (room.width - whole.width) / 2;
        const y = whole.height > room.height ? root.x - room.height / 2 : bounds.y - (room.height - whole.height) / 2;
        return { x, y, scale };
    }

    function look() {
        const { width, height } = canvas.getBoundingClientRect();
        if (!svg || !width) {
            return;
        }
        // Something of it always stays in sight.
        const room = { x: width / view.scale, y: height / view.scale };
        view.x = Math.min(Math.max(view.x, bounds.x - room.x + 60), bounds.right - 60);
        view.y = Math.min(Math.max(view.y, bounds.y - room.y + 40), bounds.bottom - 40);
        svg.setAttribute("viewBox", [view.x, view.y, room.x, room.y].join(" "));
        const inside = bounds.x >= view.x && bounds.right <= view.x + room.x;
        map.toggleAttribute("hidden", inside && bounds.y >= view.y && bounds.bottom <= view.y + room.y);
        const frame = map.querySelector(".tasktree-map-view");
        if (frame) {
            const places = { x: view.x, y: view.y, width: room.x, height: room.y };
            Object.entries(places).forEach(([name, value]) => frame.setAttribute(name, value));
        }
    }

    function drawMap(nodes) {
        map.setAttribute("viewBox", [bounds.x, bounds.y, bounds.right - bounds.x, bounds.bottom - bounds.y].join(" "));
        const boxes = nodes.map((node) => {
            const state = node.data.count === undefined ? node.data.state : "bundle";
            const place = { x: node.y, y: node.x - 11, width: WIDTH, height: 22 };
            return make("rect", { ...place, class: "tasktree-fill-" + state });
        });
        map.replaceChildren(...boxes, make("rect", { class: "tasktree-map-view" }));
    }

    function zoom(factor, x = 0.5, y = 0.5) {
        const { width, height } = canvas.getBoundingClientRect();
        const scale = Math.min(Math.max(view.scale * factor, LEAST), MOST);
        view.x += (width * x) / view.scale - (width * x) / scale;
        view.y += (height * y) / view.scale - (height * y) / scale;
        view.scale = scale;
        look();
    }

    function address() {
        const query = new URLSearchParams();
        if (parent) {
            query.set("parent", parent);
        }
        if (opened.size) {
            query.set("open", Array.from(opened, ([node, number]) => `${node}:${number}`).join(","));
        }
        return panel.dataset.url + "?" + query;
    }

    async function load() {
        const asked = address();
        const response = await window.tasktreeFetch(asked).catch(() => null);
        if (asked !== address()) {
            return;
        }
        if (!response || !response.ok || response.redirected) {
            note.textContent = panel.dataset.failed;
            return;
        }
        note.textContent = "";
        const text = await response.text();
        if (text !== drawn || !view) {
            drawn = text;
            draw(JSON.parse(text).nodes);
        }
    }

    function press(button) {
        if (button.dataset.go !== undefined) {
            parent = button.dataset.go;
            view = null;
            window.tasktreeGoTo("graph", parent);
        } else {
            opened.set(button.dataset.open, Number(button.dataset.shown) + MORE);
        }
        load();
    }

    const buttonOf = (event) => event.target.closest("[data-go], [data-open]");

    canvas.addEventListener("click", function (event) {
        const button = buttonOf(event);
        if (button) {
            press(button);
        }
    });
    canvas.addEventListener(
        "wheel",
        function (event) {
            if (!view || !(event.ctrlKey || event.metaKey)) {
                return;
            }
            event.preventDefault();
            const place = canvas.getBoundingClientRect();
            const x = (event.clientX - place.left) / place.width;
            zoom(event.deltaY > 0 ? 1 / 1.15 : 1.15, x, (event.clientY - place.top) / place.height);
        },
        { passive: false }
    );

    let dragged = null;
    let moved = false;

    function moveMap(event) {
        const place = map.getBoundingClientRect();
        const whole = { x: bounds.right - bounds.x, y: bounds.bottom - bounds.y };
        const scale = Math.max(whole.x / place.width, whole.y / place.height);
        const left = bounds.x + whole.x / 2 - (place.width / 2) * scale;
        const top = bounds.y + whole.y / 2 - (place.height / 2) * scale;
        const { width, height } = canvas.getBoundingClientRect();
        view.x = left + (event.clientX - place.left) * scale - width / view.scale / 2;
        view.y = top + (event.clientY - place.top) * scale - height / view.scale / 2;
        look();
    }

    canvas.addEventListener("pointerdown", function (event) {
        if (view && event.button === 0) {
            const onMap = map.contains(event.target);
            dragged = { x: event.clientX, y: event.clientY, onMap };
            moved = onMap;
            if (onMap) {
                moveMap(event);
            }
        }
    });
    window.addEventListener("pointermove", function (event) {
        if (!dragged) {
            return;
        }
        moved = moved || Math.hypot(event.clientX - dragged.x, event.clientY - dragged.y) > STILL;
        if (dragged.onMap) {
            moveMap(event);
        } else if (moved) {
            view.x -= (event.clientX - dragged.x) / view.scale;
            view.y -= (event.clientY - dragged.y) / view.scale;
            dragged = { x: event.clientX, y: event.clientY };
            look();
        }
    });
    window.addEventListener("pointerup", () => (dragged = null));
    window.addEventListener("pointercancel", () => (dragged = null));
    // What was dragged was not pressed.
    canvas.addEventListener("dragstart", (event) => event.preventDefault());
    canvas.addEventListener(
        "click",
        function (event) {
            if (moved) {
                event.preventDefault();
                event.stopPropagation();
            }
            moved = false;
        },
        { capture: true }
    );
    canvas.addEventListener("keydown", function (event) {
        const button = buttonOf(event);
        if (button && ["Enter", " "].includes(event.key)) {
            event.preventDefault();
            press(button);
            return;
        }
        const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        if (view && event.target === canvas && event.key in steps) {
            event.preventDefault();
            view.x += (steps[event.key][0] * 80) / view.scale;
            view.y += (steps[event.key][1] * 80) / view.scale;
            look();
        }
    });
    /** Whoever moves through the boxes with the keyboard sees where they are. */
    canvas.addEventListener("focusin", function (event) {
        const group = event.target.closest("[data-key]");
        if (!group || !view) {
            return;
        }
        const outer = canvas.getBoundingClientRect();
        const inner = group.getBoundingClientRect();
        const step = (low, high, least, most) => (low < least ? low - least - 20 : high > most ? high - most + 20 : 0);
        view.x += step(inner.left, inner.right, outer.left, outer.right) / view.scale;
        view.y += step(inner.top, inner.bottom, outer.top, outer.bottom) / view.scale;
        canvas.scrollTo(0, 0);
        look();
    });
    panel.querySelectorAll("[data-zoom]").forEach(function (button) {
        button.addEventListener("click", function () {
            if (button.dataset.zoom === "fit") {
                view = null;
                draw(JSON.parse(drawn).nodes);
            } else {
                zoom(button.dataset.zoom === "in" ? 1.3 : 1 / 1.3);
            }
        });
    });
    panel.addEventListener("tasktree:shown", function (event) {
        if (event.detail.place !== parent) {
            parent = event.detail.place;
            view = null;
        }
        load();
    });
    window.addEventListener("resize", () => view && look());
    document.addEventListener("tasktree:changed", () => panel.hidden || load());
})();
