/* The graph of a run, laid out by d3-hierarchy: drag to move it, the wheel or the buttons to enlarge it. */
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
    const canvas = panel.querySelector(".tasktree-canvas");
    const note = panel.querySelector("[role=status]");
    let view = null;
    let parent = "";
    let drawn = "";

    const key = (node) => node.id || node.parent + ":rest";

    function layOut(nodes) {
        const known = new Set(nodes.map(key));
        const usable = nodes.filter((node) => node.top || known.has(node.parent));
        const root = d3.stratify().id(key).parentId((node) => (node.top ? null : node.parent))(usable);
        return d3.tree().nodeSize([ROW, COLUMN])(root);
    }

    function edge(from, to, kind) {
        const middle = (from.y + WIDTH + to.y) / 2;
        const path = `M${from.y + WIDTH},${from.x}C${middle},${from.x} ${middle},${to.x} ${to.y},${to.x}`;
        return make("path", { d: path, class: "tasktree-edge" + kind });
    }

    /** A gather node waits for its siblings: a dashed line along their ends leads to it. */
    function gatherEdges(node) {
        return (node.children || [])
            .filter((child) => child.data.gather)
            .flatMap((gather) =>
                node.children
                    .filter((child) => !child.data.gather)
                    .map((child) => {
                        const right = Math.max(child.y, gather.y) + WIDTH;
                        const bow = right + 18;
                        const path =
                            `M${child.y + WIDTH},${child.x}C${bow},${child.x} ${bow},${gather.x} ` +
                            `${gather.y + WIDTH},${gather.x}`;
                        return make("path", { d: path, class: "tasktree-edge tasktree-edge-gather" });
                    })
            );
    }

    function short(text) {
        return text.length > 20 ? text.slice(0, 19) + "…" : text;
    }

    function box(node) {
        const data = node.data;
        const bundle = data.count !== undefined;
        const state = bundle ? "bundle" : data.state;
        const group = make(bundle || !data.link ? "g" : "a", {
            class: "tasktree-box tasktree-box-" + state,
            transform: `translate(${node.y},${node.x})`,
        });
        if (data.link) {
            group.setAttribute("href", data.link);
        }
        const text = bundle ? panel.dataset.rest.replace("%s", data.count.toLocaleString()) : data.name;
        group.append(make("title", {}, bundle ? text : `${data.name}: ${panel.dataset["state-" + state] || state}`));
        group.append(make("rect", { y: -11, width: WIDTH, height: 22, rx: data.gather ? 11 : 3 }));
        group.append(make("circle", { cx: 12, r: 5, class: "tasktree-fill-" + state }));
        group.append(make("text", { x: 24, y: 4 }, short(text)));
        return group;
    }

    /** A node whose children are not all drawn: a button leads into it. */
    function into(node) {
        const hidden = node.data.children && !(node.children || []).length;
        if (!hidden && !(node.data.top && node.data.up !== undefined)) {
            return [];
        }
        const up = node.data.top;
        const button = make("g", {
            class: "tasktree-into",
            role: "button",
            tabindex: "0",
            transform: `translate(${up ? node.y - 22 : node.y + WIDTH + 4},${node.x})`,
            "aria-label": up ? panel.dataset.up : `${panel.dataset.into} ${node.data.name}`,
        });
        button.append(make("circle", { cx: 9, r: 9 }));
        button.append(make("text", { x: 9, y: 4, "text-anchor": "middle" }, up ? "‹" : "›"));
        const go = function () {
            parent = up ? node.data.up : node.data.id;
            view = null;
            load();
        };
        button.addEventListener("click", go);
        button.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), go()));
        return [button];
    }

    function draw(nodes) {
        const root = layOut(nodes);
        const svg = make("svg", { role: "group", "aria-label": panel.dataset.label, class: "tasktree-drawing" });
        const layers = [[], [], []];
        root.each(function (node) {
            if (node.parent) {
                layers[0].push(edge(node.parent, node, node.data.count !== undefined ? " tasktree-edge-rest" : ""));
            }
            layers[0].push(...gatherEdges(node));
            layers[1].push(box(node));
            layers[2].push(...into(node));
        });
        layers.flat().forEach((element) => svg.append(element));
        const all = root.descendants();
        const top = Math.min(...all.map((node) => node.x)) - 24;
        const bottom = Math.max(...all.map((node) => node.x)) + 24;
        const right = Math.max(...all.map((node) => node.y)) + WIDTH + 44;
        view = view || { x: -30, y: top, width: Math.max(right + 30, 700), height: Math.max(bottom - top, 200) };
        canvas.replaceChildren(svg);
        look();
    }

    function look() {
        const svg = canvas.firstElementChild;
        if (svg) {
            svg.setAttribute("viewBox", [view.x, view.y, view.width, view.height].join(" "));
        }
    }

    function zoom(factor, x, y) {
        const px = x === undefined ? 0.5 : x;
        const py = y === undefined ? 0.5 : y;
        view.x += view.width * (1 - factor) * px;
        view.y += view.height * (1 - factor) * py;
        view.width *= factor;
        view.height *= factor;
        look();
    }

    async function load() {
        const response = await fetch(panel.dataset.url + (parent ? "?parent=" + parent : ""), {
            cache: "no-cache",
            headers: { Accept: "application/json" },
        }).catch(() => null);
        if (!response || !response.ok) {
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

    canvas.addEventListener(
        "wheel",
        function (event) {
            if (!view || !(event.ctrlKey || event.metaKey)) {
                return;
            }
            event.preventDefault();
            const place = canvas.getBoundingClientRect();
            const x = (event.clientX - place.left) / place.width;
            zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, x, (event.clientY - place.top) / place.height);
        },
        { passive: false }
    );
    let dragged = null;
    canvas.addEventListener("pointerdown", function (event) {
        dragged = { x: event.clientX, y: event.clientY };
    });
    window.addEventListener("pointermove", function (event) {
        if (!dragged || !view) {
            return;
        }
        const place = canvas.getBoundingClientRect();
        const scale = Math.max(view.width / place.width, view.height / place.height);
        view.x -= (event.clientX - dragged.x) * scale;
        view.y -= (event.clientY - dragged.y) * scale;
        dragged = { x: event.clientX, y: event.clientY };
        look();
    });
    window.addEventListener("pointerup", () => (dragged = null));
    canvas.addEventListener("keydown", function (event) {
        const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        if (view && event.target === canvas && event.key in steps) {
            event.preventDefault();
            view.x += (steps[event.key][0] * view.width) / 10;
            view.y += (steps[event.key][1] * view.height) / 10;
            look();
        }
    });
    panel.querySelectorAll("[data-zoom]").forEach(function (button) {
        button.addEventListener("click", function () {
            if (button.dataset.zoom === "fit") {
                view = null;
                draw(JSON.parse(drawn).nodes);
            } else {
                zoom(button.dataset.zoom === "in" ? 1 / 1.3 : 1.3);
            }
        });
    });
    panel.addEventListener("tasktree:shown", load);
    document.addEventListener("tasktree:changed", () => panel.hidden || load());
})();
