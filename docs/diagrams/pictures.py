"""All diagrams, by the names that the page uses."""

from collections.abc import Callable

from docs.diagrams import layers, life, machines, rows
from docs.diagrams.svg import Drawing

PICTURES: dict[str, Callable[[], Drawing]] = {
    "layers": layers.draw,
    "life": life.draw,
    "node-states": machines.draw_nodes,
    "rows": rows.draw,
    "run-states": machines.draw_runs,
}
