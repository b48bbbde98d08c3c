"""The task of every benchmark: it does nothing, so that what is measured is the machinery around it."""

from typing import Any

from django_tasktree import task_with_callbacks


@task_with_callbacks
def echo(value: Any = None) -> Any:
    """Return the value."""
    return value


@task_with_callbacks
def count(values: list[Any]) -> int:
    """Count what was gathered."""
    return len(values)
