"""Whether a task function runs in one transaction with the outcome of its node."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

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
