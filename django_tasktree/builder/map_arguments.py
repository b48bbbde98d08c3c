"""The items of a map, its options, and the call of its task, whose arguments contain the placeholder for the item."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery import Signature, Task
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager

from django_tasktree.builder.calls import Call, call
from django_tasktree.encoding.items import ITEM, Item, items_of
from django_tasktree.encoding.nested import holds
from django_tasktree.encoding.references import Output, Reference
from django_tasktree.exceptions import InvalidOption


def checked_items(over: Any) -> Any:
    """Return the items of a map, or what contains them.

    Raises:
        InvalidOption: it is something else.
    """
    if isinstance(over, (Output, Reference, Item, QuerySet)):
        return over
    if isinstance(over, BaseManager):
        wrong = f"the manager of {over.model.__name__}: pass a QuerySet, such as its all()"
    elif isinstance(over, type) and issubclass(over, Model):
        wrong = f"the model {over.__name__}: pass a QuerySet, such as {over.__name__}.objects.all()"
    elif isinstance(over, (Task, Signature)):
        wrong = f"a task, {over!r}: add it as a node, and pass the output of the node"
    elif isinstance(getattr(over, "output", None), (Output, Reference)):
        wrong = f"a node, {over!r}: pass its output"
    else:
        return items_of(over)
    raise InvalidOption(f"over= of a map is {wrong}")


def check_map_options(options: Mapping[str, Any]) -> None:
    """Check the options of a map that are not those of a message.

    Raises:
        InvalidOption: a map does not have one of them.
    """
    if "allow_failure" in options:
        raise InvalidOption('a map has no option allow_failure: tolerate="100%" lets all of its children fail')


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
