"""The columns of nodes that tables read, on pages and in terminals: long texts only in part."""

from typing import Any

from django.db.models.functions import Substr

#: The columns that every table reads.
COLUMNS = (
    "id",
    "parent_id",
    "position",
    "child_count",
    "is_gather",
    "quorum",
    "label",
    "task",
    "state",
    "attempts",
    "started_at",
    "finished_at",
    "sub_run_id",
    "wait",
    "eta",
)
#: The number of characters that are read of long texts, by column.
_LENGTHS = {"args": 1_000, "kwargs": 1_000, "error_message": 500}


def with_heads(nodes: Any, *columns: str) -> Any:
    """Annotate nodes with the beginnings of long texts, for example of ``args`` as ``head_of_args``.

    Args:
        nodes: a queryset of nodes.
        *columns: columns among ``args``, ``kwargs`` and ``error_message``.
    """
    return nodes.annotate(**{f"head_of_{column}": Substr(column, 1, _LENGTHS[column]) for column in columns})
