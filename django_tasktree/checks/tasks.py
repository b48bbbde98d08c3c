"""Checks of the project's tasks that can be nodes of a tree."""

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.core.checks import CheckMessage, Error

from django_tasktree.builder.chunks import check_chunk
from django_tasktree.exceptions import InvalidOption


def chunks_are_possible() -> Iterator[CheckMessage]:
    """Check E004: options that were set after the declaration of a task, as annotations are, must allow its chunk."""
    tasks: Any = current_app.tasks
    for name, task in sorted(tasks.items()):
        problem = _problem(name, task) if getattr(task, "chunk", None) is not None else None
        if problem is not None:
            yield Error(
                problem,
                hint="Give chunk= to the decorator of the task, and look at CELERY_TASK_ANNOTATIONS.",
                id="django_tasktree.E004",
            )


def _problem(name: str, task: Any) -> str | None:
    if getattr(task, "chunk_function", None) is None:
        return f"chunk= of task {name!r} has no effect, because it was not declared with the task's function."
    try:
        check_chunk(name, task.chunk, atomic=task.atomic, on_worker_lost=task.on_worker_lost)
    except InvalidOption as exc:
        return f"{exc}."
    return None
