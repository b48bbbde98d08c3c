"""``python -m benchmarks [PART]``: measure, and print the tables."""

import argparse
import os
import platform
import sys
from importlib import import_module
from importlib.metadata import version

from rich.console import Console

from benchmarks import environment
from benchmarks.options import Options
from benchmarks.tables import Table

#: The parts: each is a module with a function ``tables``, which yields the tables as soon as they are measured.
_PARTS = ("canvas", "peers", "bodies", "latency", "costs", "scale", "maps", "actions", "purge", "waiting")
#: Checks limits instead, and is not part of "all".
_SMOKE = "smoke"
#: Wide enough for the widest table; the width of the terminal is unknown if the output is redirected.
_console = Console(width=130)


def main() -> int:
    """Measure the selected parts, and return the exit code: 1 if a limit is exceeded, 2 if a server is missing."""
    what, options = _arguments()
    try:
        with environment.prepared():
            _print_versions()
            if what == _SMOKE:
                return _smoke(options)
            for part in _PARTS if what == "all" else [what]:
                _measure(part, options)
    except environment.Unavailable as exc:
        _console.print(f"[red]{exc}[/red]")
        return 2
    return 0


def _measure(part: str, options: Options) -> None:
    # These modules need Django to be set up.
    import_module("benchmarks.usage").empty_tables()
    for table in import_module(f"benchmarks.{part}").tables(options):
        _print(table, options)


def _smoke(options: Options) -> int:
    table, are_kept = import_module("benchmarks.smoke").check()
    _print(table, options)
    return 0 if are_kept else 1


def _print(table: Table, options: Options) -> None:
    if options.rst:
        print(table.as_rst())
    else:
        table.show(_console)


def _arguments() -> tuple[str, Options]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=[*_PARTS, "all", _SMOKE], default="all")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds, after one warm-up round; default: 5")
    parser.add_argument("--scale-factor", type=float, default=1.0, help="multiply the size of every tree; default: 1.0")
    parser.add_argument(
        "--largest", type=int, help="the largest fan-out of costs, and map; default: 1,000,000, times the scale factor"
    )
    parser.add_argument("--rst", action="store_true", help="print tables as reStructuredText")
    given = parser.parse_args()
    largest = round(1_000_000 * given.scale_factor) if given.largest is None else given.largest
    return given.what, Options(given.rounds, given.scale_factor, largest, given.rst)


def _print_versions() -> None:
    packages = ("django", "celery", "kombu", "django-celery-results", "psycopg", "redis")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    servers = ", ".join(f"{name} {number}" for name, number in environment.server_versions().items())
    _console.print(f"Python {platform.python_version()}, {versions}; {servers}; {os.cpu_count()} cores")


if __name__ == "__main__":
    sys.exit(main())
