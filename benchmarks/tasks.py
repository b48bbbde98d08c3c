"""The tasks of the benchmarks. They do nothing, so that only the overhead is measured."""

from typing import Any

from django_tasktree import task_with_callbacks


@task_with_callbacks
def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@task_with_callbacks
def count(values: list[Any]) -> int:
    """Return the number of gathered values."""
    return len(values)
