"""What a canvas is made of, read from the dicts that signatures are: also those that came out of JSON."""

from collections.abc import Iterable
from typing import Any

from django_tasktree.citizens import OPTIONS
from django_tasktree.exceptions import UnsupportedCanvas

#: Celery's own tasks behind ``xmap``, ``starmap`` and ``chunks``.
MAP, STARMAP, CHUNKS = "celery.map", "celery.starmap", "celery.chunks"
_LINKS = ("link", "link_error")
#: How Celery retries to send a message: rows wait for the broker in any case.
_OF_SENDING = ("retry", "retry_policy")
#: How often a chord looks whether its header has ended: a gather node needs no looking.
_OF_POLLING = ("interval", "max_retries")


def kind_of(signature: Any) -> str:
    """Tell what a signature is: ``task``, ``chain``, ``group``, ``chord``, or one of Celery's tasks of the same name.

    Raises:
        UnsupportedCanvas: it is no signature, or one of a kind that Celery itself does not have.
    """
    if not isinstance(signature, dict) or not isinstance(signature.get("task"), str):
        raise UnsupportedCanvas(
            f"{signature!r} is no signature: make one with task.s(…), or give its task to add_task()"
        )
    if signature["task"] in (MAP, STARMAP, CHUNKS):
        return str(signature["task"])
    kind = signature.get("subtask_type") or "task"
    if kind not in ("task", "chain", "group", "chord"):
        raise UnsupportedCanvas(f"a signature of type {kind!r} can't be imported: build that part with add_task()")
    return str(kind)


def members(tasks: Any) -> list[Any]:
    """The members of a chain, a group or a chord's header; a generator is read once, and Celery keeps what it gave."""
    if isinstance(tasks, dict):
        return members(tasks["kwargs"]["tasks"]) if tasks.get("subtask_type") in ("group", "chain") else [tasks]
    return list(tasks or ())


def links(signature: Any, name: str) -> tuple[Any, ...]:
    """The callbacks or errbacks of a signature."""
    given = (signature.get("options") or {}).get(name) or ()
    return (given,) if isinstance(given, dict) else tuple(given)


def message_options(signature: Any) -> dict[str, Any]:
    """The options of a signature that say how its message is sent.

    Raises:
        UnsupportedCanvas: one can't be kept.
    """
    left_out = (*_LINKS, *_OF_SENDING, *(_OF_POLLING if kind_of(signature) == "chord" else ()))
    options = {name: value for name, value in (signature.get("options") or {}).items() if name not in left_out}
    unknown = sorted(name for name, value in options.items() if name not in OPTIONS and value is not None)
    if unknown:
        raise UnsupportedCanvas(
            f"option {unknown[0]!r} of {signature['task']!r} can't be kept: a node takes {', '.join(sorted(OPTIONS))}, "
            "and its key and the run's key take the place of Celery's own ids"
        )
    return {name: value for name, value in options.items() if value is not None}


def flattened(groups: Iterable[Any]) -> list[Any]:
    """The members of groups, with those of groups among them put in their places, as Celery does."""
    found: list[Any] = []
    stack = list(groups)[::-1]
    while stack:
        signature = stack.pop()
        kind = kind_of(signature)
        if kind == "group":
            stack.extend(members(signature["kwargs"]["tasks"])[::-1])
        elif kind != "chain" or members(signature["kwargs"]["tasks"]):
            found.append(signature)
    return found
