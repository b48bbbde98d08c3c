"""Run shapes on procrastinate."""

import os
import sys
from collections.abc import Callable

import procrastinate
import psycopg
from driver import serve
from procrastinate_jobs import app, echo, step

_database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def main() -> None:
    """Create the tables, or answer requests."""
    connector = procrastinate.SyncPsycopgConnector(conninfo=os.environ["DATABASE_URL"])
    with app.replace_connector(connector) as here, here.open():
        if "--set-up" in sys.argv:
            here.schema_manager.apply_schema()
        else:
            serve({"group": _group, "chain": _chain})


def _group(size: int) -> Callable[[], Callable[[], bool]]:
    return _launching(size, lambda: echo.batch_defer(*({"value": number} for number in range(size))))


def _chain(size: int) -> Callable[[], Callable[[], bool]]:
    return _launching(size, lambda: step.defer(left=size))


def _launching(size: int, defer: Callable[[], object]) -> Callable[[], Callable[[], bool]]:
    _database.execute("DELETE FROM procrastinate_jobs")

    def launch() -> Callable[[], bool]:
        defer()
        return lambda: _done() >= size

    return launch


def _done() -> int:
    row = _database.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'").fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main()
