"""Transactions that include the rows of runs and rows of the project."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from django_tasktree.engine.transitions import write_alias


def atomic_alias(task: Any) -> str | None:
    """Return the alias of the database on which a task function runs in a transaction; None if it runs in none.

    Args:
        task: the task instance; its ``atomic`` is True, False or the alias of a database.

    Raises:
        ImproperlyConfigured: that is not the database of the nodes. One transaction can't span two databases.
    """
    requested = getattr(task, "atomic", False)
    if requested is False:
        return None
    alias = write_alias()
    if requested is True or requested == alias:
        return alias
    raise ImproperlyConfigured(
        f"task {task.name!r} has atomic={requested!r}, but nodes are written to the database {alias!r}, and one "
        f"transaction can't span two databases: set atomic=True and write to {alias!r} in the task, or remove atomic "
        "and make the task idempotent"
    )


@contextmanager
def atomic_with_runs(alias: str) -> Iterator[None]:
    """Write rows of the project and launch a run in one transaction, or in two if they are in different databases.

    With two databases, an error in the block rolls back both transactions. The project's is committed first. Messages
    are sent after both commits, so no task looks for rows that are not committed yet. A crash between the two commits
    leaves the project's rows without a run.

    Args:
        alias: the database of the project's rows.
    """
    with ExitStack() as stack:
        for database in dict.fromkeys((write_alias(), alias)):
            stack.enter_context(transaction.atomic(using=database))
        yield
