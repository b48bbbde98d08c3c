"""Count the statements and messages of several processes: each appends a byte to a file for each one."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import psycopg
from celery.signals import after_task_publish

#: The environment variable that contains the directory of the files. A worker in which it is set counts what its pool
#: processes do; the heartbeats and the sweep of its main process are not counted.
VARIABLE = "BENCH_TALLIES"


class Tallies:
    """The number of statements and of messages.

    Args:
        directory: the directory of the files, which all processes share.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._statements = directory / "statements"
        self._messages = directory / "messages"

    @property
    def statements(self) -> int:
        """The number of statements that were sent to PostgreSQL, without those that only begin or end transactions."""
        return _size(self._statements)

    @property
    def messages(self) -> int:
        """The number of messages that were sent."""
        return _size(self._messages)

    def start(self) -> Callable[[], None]:
        """Count what this process does, and return a function that ends this."""
        add_statement, add_message = _appender(self._statements), _appender(self._messages)
        methods = {name: getattr(psycopg.Cursor, name) for name in ("execute", "executemany", "copy")}

        def on_message(**_: object) -> None:
            add_message()

        for name, method in methods.items():
            # Below Django's own counting, because not all statements pass through Django's cursors.
            setattr(psycopg.Cursor, name, _calling_before(add_statement, method))
        after_task_publish.connect(on_message, weak=False)

        def stop() -> None:
            after_task_publish.disconnect(on_message)
            for name, method in methods.items():
                setattr(psycopg.Cursor, name, method)

        return stop

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what this process does in the block."""
        stop = self.start()
        try:
            yield
        finally:
            stop()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _appender(path: Path) -> Callable[[], None]:
    # Appending a byte is atomic: processes do not overwrite each other's.
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    return lambda: _append(file)


def _append(file: int) -> None:
    os.write(file, b".")


def _calling_before(action: Callable[[], None], method: Any) -> Any:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        action()
        return method(*args, **kwargs)

    return call
