"""The call of a map's task, whose arguments contain the placeholder for the item."""

from dataclasses import replace
from typing import Any

from django_tasktree.builder.calls import Call, call
from django_tasktree.encoding.items import ITEM, Item
from django_tasktree.encoding.nested import holds
from django_tasktree.exceptions import InvalidOption


def check_batch(batch: int | None) -> None:
    """Check the number of items that a child of a map gets; None for one item that is not in a list.

    Raises:
        InvalidOption: it is not a whole number of at least 1.
    """
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise InvalidOption(f"batch={batch!r} is not valid: give a whole number of at least 1, or None for no lists")


def call_with_item(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Call:
    """Return the call of a map's task, whose arguments contain the placeholder for the item.

    Raises:
        InvalidOption: they do not contain it; also see :meth:`TaskTree.map`.
    """
    signed = holds([task.get("args"), task.get("kwargs")], Item) if isinstance(task, dict) else False
    if args is None and kwargs is None and not signed:
        args = (ITEM,)
    if not signed and not holds([args, kwargs], Item):
        raise InvalidOption(
            "the arguments of a map's task do not contain ITEM, so that all its children would do the same: put "
            "django_tasktree.ITEM, or a part of it such as ITEM['url'], where the item belongs"
        )
    unpacked: dict[str, Any] = {
        name: value for name, value in [("args", args), ("kwargs", kwargs)] if isinstance(value, Item)
    }
    complete = {"args": args, "kwargs": kwargs} | dict.fromkeys(unpacked)
    given = call(task, complete["args"], complete["kwargs"], options, is_complete=not unpacked)
    return replace(given, **unpacked)
