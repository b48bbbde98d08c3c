"""Measure the same fan-out and chain on other projects: ``python -m benchmarks peers``.

Those that can't be installed are left out.
"""

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from benchmarks import environment
from benchmarks.canvas import seconds_of_canvas, seconds_of_tree
from benchmarks.options import Options
from benchmarks.peer_environment import PEERS, Driver, Peer
from benchmarks.rounds import measured, speed
from benchmarks.shapes import SHAPES, Shape
from benchmarks.tables import Table

CONCURRENCY = 2
#: The shapes that the others have, or that can be made of what they have.
COMMON = ("group", "chain")


def tables(options: Options) -> Iterator[Table]:
    """Yield the speed of each shape."""
    title = f"Tasks per second, medians of {options.rounds} rounds; how many times as fast a tree is in the same round"
    table = Table(title, ["shape", "tasks", "how", "per second", "tree to it"], labels=3)
    with ExitStack() as stack:
        stack.enter_context(environment.worker(CONCURRENCY))
        drivers = _drivers(stack)
        for name in COMMON:
            shape = SHAPES[name]
            size = shape.scaled(options.scale_factor)[0]
            seconds = measured(options.rounds, _contenders(shape, size, drivers))
            for how, theirs in seconds.items():
                rate = f"{size / statistics.median(theirs):,.0f}"
                table.add(name, f"{size:,}", how, rate, "" if how == "tree" else str(speed(seconds["tree"], theirs)))
    yield table


def _drivers(stack: ExitStack) -> dict[str, Driver]:
    drivers = [(peer, _driver(stack, peer)) for peer in PEERS]
    return {f"{peer.name} {peer.version()}": driver for peer, driver in drivers if driver is not None}


def _driver(stack: ExitStack, peer: Peer) -> Driver | None:
    try:
        return stack.enter_context(peer.running(CONCURRENCY))
    except environment.Unavailable as exc:
        print(f"{peer.name} is left out: {exc}", file=sys.stderr)
        return None


def _contenders(shape: Shape, size: int, drivers: dict[str, Driver]) -> dict[str, Callable[[], float]]:
    runs: dict[str, Callable[[], float]] = {
        "tree": partial(seconds_of_tree, shape, size),
        "canvas, django-db": partial(seconds_of_canvas, shape, size),
    }
    return {**runs, **{name: partial(driver.seconds, shape.name, size) for name, driver in drivers.items()}}
