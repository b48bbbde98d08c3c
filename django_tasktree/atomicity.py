"""Transactions that span the rows of runs and those of the project."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from django_tasktree.engine.moves import write_alias


def atomic_alias(task: Any) -> str | None:
    """Tell on which database a task's body runs in a transaction.

    Args:
        task: the task instance; its ``atomic`` is True, False or the alias of a database.

    Returns:
        None where it runs in none.

    Raises:
        ImproperlyConfigured: that is not the database of the nodes: one transaction can't span two.
    """
    wanted = getattr(task, "atomic", False)
    if wanted is False:
        return None
    alias = write_alias()
    if wanted is True or wanted == alias:
        return alias
    raise ImproperlyConfigured(
        f"task {task.name!r} has atomic={wanted!r}, but the nodes of trees are written to the database {alias!r}, and "
        f"one transaction can't span two databases: give it atomic=True and let it write to {alias!r}, or leave atomic "
        "out and make the task idempotent"
    )


@contextmanager
def atomic_with_runs(alias: str) -> Iterator[None]:
    """Write rows of the project and launch a run: both or neither, as far as one transaction can hold them.

    Where runs have a database of their own there are two transactions, and an error in the block undoes both. The
    project's is committed first: messages are sent after both, so that no task looks for rows that are not there yet. A
    crash between the two commits leaves the project's rows without a run.

    Args:
        alias: the database of the project's rows.
    """
    with ExitStack() as stack:
        for each in dict.fromkeys((write_alias(), alias)):
            stack.enter_context(transaction.atomic(using=each))
        yield
