"""Whether a task's body shares one transaction with its node's outcome."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

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
