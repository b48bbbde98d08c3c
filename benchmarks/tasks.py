"""The tasks of the benchmarks. They do nothing or sleep, so that only the overhead is measured."""

import time
from pathlib import Path
from typing import Any

from celery import shared_task

from django_tasktree import task_with_callbacks


@task_with_callbacks
def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@task_with_callbacks
def count(values: list[Any]) -> int:
    """Return the number of gathered values."""
    return len(values)


@task_with_callbacks
def numbers(count: int) -> list[int]:
    """Return the numbers from 0."""
    return list(range(count))


@task_with_callbacks
def sleep(seconds: float) -> None:
    """Do nothing for some time; do not even sleep for 0 seconds."""
    if seconds:
        time.sleep(seconds)


@task_with_callbacks
def clock() -> list[float]:
    """Return the times at which the task function began and ended."""
    return _times()


# Celery's own tasks, for canvases: what trees need costs them nothing.


@shared_task
def plain_echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@shared_task
def plain_count(values: list[Any]) -> int:
    """Return the number of gathered values."""
    return len(values)


@shared_task
def plain_clock() -> list[float]:
    """Return the times at which the task function began and ended."""
    return _times()


@shared_task(ignore_result=True)
def leave_mark(path: str) -> None:
    """Create a file: then a worker of one process has handled all messages that were sent before."""
    Path(path).touch()


def _times() -> list[float]:
    began = time.time()
    return [began, time.time()]
