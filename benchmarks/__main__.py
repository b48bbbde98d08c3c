"""``python -m benchmarks [canvas|scale|actions|purge|waiting|all]``: print the tables."""

import argparse
import os
import platform
import statistics
import sys
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from benchmarks import environment

#: Wide enough for the widest table; the width of the terminal is unknown if the output is redirected.
console = Console(width=110)
_PARTS = ("canvas", "scale", "actions", "purge", "waiting")


def main() -> int:
    """Run the selected benchmarks, and return the exit code: 2 if a server is not available."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=[*_PARTS, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds, after one warm-up round; default: 5")
    parser.add_argument("--scale-factor", type=float, default=1.0, help="multiply the size of every tree; default: 1.0")
    options = parser.parse_args()
    try:
        with environment.prepared():
            _print_versions()
            if options.what in ("canvas", "all"):
                _canvas(options.rounds, options.scale_factor)
            if options.what in ("scale", "all"):
                _scale(options.scale_factor)
            if options.what in ("actions", "all"):
                _actions(options.scale_factor)
            if options.what in ("purge", "all"):
                _purge(options.scale_factor)
            if options.what in ("waiting", "all"):
                _waiting(options.scale_factor)
    except environment.Unavailable as exc:
        console.print(f"[red]{exc}[/red]")
        return 2
    return 0


def _print_versions() -> None:
    packages = ("django", "celery", "kombu", "django-celery-results", "psycopg", "redis")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    console.print(f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores, prefork, concurrency 2")


def _canvas(rounds: int, scale: float) -> None:
    from benchmarks.canvas import VARIANTS, measure

    with environment.worker():
        figures = measure(rounds, scale)
    table = Table(title=f"Tasks per second, medians of {rounds} rounds; ratios to canvas in the same round (min - max)")
    for heading in ("shape", "tasks", "canvas", *[cell for name in VARIANTS for cell in (name, "ratio")]):
        table.add_column(heading, justify="left" if heading == "shape" else "right")
    for entry in figures:
        cells = [entry.shape, str(entry.tasks), f"{statistics.median(entry.rates['canvas']):.0f}"]
        for name in VARIANTS:
            middle, low, high = entry.ratio(name)
            cells += [f"{statistics.median(entry.rates[name]):.0f}", f"{middle:.2f} ({low:.2f} - {high:.2f})"]
        table.add_row(*cells)
    console.print(table)


def _scale(scale: float) -> None:
    from benchmarks import scale as module

    _stored(scale)
    table = Table("nodes", "statements per node", title="Running a fan-out in one process")
    for nodes, statements in module.statements_per_node(scale):
        table.add_row(f"{nodes:,}", f"{statements:.3f}")
    console.print(table)
    table = Table("length of the chain", "ours", "canvas", title="Bytes of a chain's first message on Redis")
    for length, ours, canvas in module.message_sizes():
        table.add_row(f"{length:,}", f"{ours:,}", f"{canvas:,}")
    console.print(table)
    table = Table("face", "nodes", "first", "again", title="Looking at a running run; milliseconds")
    for look in module.shown(scale):
        table.add_row(look.face, f"{look.nodes:,}", f"{1000 * look.first:.0f}", f"{1000 * look.again:.0f}")
    console.print(table)
    nodes = max(2, round(10_000 * scale))
    with environment.worker():
        console.print(f"A chain of {nodes:,}: {module.chain_of(nodes):.0f} nodes per second")


def _stored(scale: float) -> None:
    from benchmarks.scale import persisted

    headings = ("nodes", "built per second", "bytes per node", "stored per second", "statements", "MB beside the tree")
    table = Table(*headings, title="A fan-out is built, and its launch is stored but not published")
    for row in persisted(scale):
        built, stored = row.nodes / row.building, row.nodes / row.launching
        figures = [f"{built:,.0f}", f"{row.tree / row.nodes:,.0f}", f"{stored:,.0f}", f"{row.statements:,}"]
        table.add_row(f"{row.nodes:,}", *figures, f"{row.beside / 1e6:.0f}")
    console.print(table)


def _actions(scale: float) -> None:
    from benchmarks.actions import measurements

    headings = ("action", "nodes", "seconds", "longest transaction", "in one transaction")
    table = Table(*headings, title="Actions on a root node and everything below it; seconds")
    for row in measurements(scale):
        longest = f"{row.longest_transaction:.3f}"
        table.add_row(row.action, f"{row.nodes:,}", f"{row.in_batches:.2f}", longest, f"{row.at_once:.2f}")
    console.print(table)


def _purge(scale: float) -> None:
    from benchmarks.purge import purges

    title = "manage.py tasktree purge --task-results, in a separate process"
    table = Table("nodes", "runs", "nodes per second", "peak memory in MB", title=title)
    for row in purges(scale):
        rate = f"{row.nodes / row.seconds:,.0f}"
        table.add_row(f"{row.nodes:,}", f"{row.runs:,}", rate, f"{row.peak_memory / 1e6:.0f}")
    console.print(table)


def _waiting(scale: float) -> None:
    from benchmarks.waiting import waits

    title = "From the end of a run until a waiting caller notices it; milliseconds"
    table = Table("", "waits", "p50", "p99", "queries per wait", title=title)
    for way in waits(scale):
        middle, late = f"{way.percentile(50):.1f}", f"{way.percentile(99):.1f}"
        table.add_row(way.name, str(len(way.delays)), middle, late, f"{way.queries_per_wait:.1f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
