"""Read signatures as the dicts that they are, whether they are Celery's objects or were loaded from JSON."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from django_tasktree.builder.calls import OPTIONS
from django_tasktree.exceptions import UnsupportedCanvas

#: Celery's own tasks behind ``xmap``, ``starmap`` and ``chunks``.
MAP, STARMAP, CHUNKS = "celery.map", "celery.starmap", "celery.chunks"
_LINKS = ("link", "link_error")
#: How Celery retries publishing. Not needed: the sweep publishes queued nodes again.
_PUBLISH_OPTIONS = ("retry", "retry_policy")
#: How often Celery polls whether the header of a chord has finished. Not needed: a gather node does not poll.
_POLL_OPTIONS = ("interval", "max_retries")


def kind_of(signature: Any) -> str:
    """Return the kind of a signature.

    Returns:
        ``"task"``, ``"chain"``, ``"group"`` or ``"chord"``; for Celery's own tasks :data:`MAP`, :data:`STARMAP` and
        :data:`CHUNKS` the name of the task.

    Raises:
        UnsupportedCanvas: it is not a signature, or of a type that Celery itself does not have.
    """
    if not isinstance(signature, dict) or not isinstance(signature.get("task"), str):
        raise UnsupportedCanvas(
            f"{signature!r} is not a signature: make one with task.s(…), or pass the task to add_task()"
        )
    if signature["task"] in (MAP, STARMAP, CHUNKS):
        return str(signature["task"])
    kind = signature.get("subtask_type") or "task"
    if kind not in ("task", "chain", "group", "chord"):
        raise UnsupportedCanvas(f"a signature of type {kind!r} can't be imported: build that part with add_task()")
    return str(kind)


def members(tasks: Any) -> list[Any]:
    """Return the members of a chain, a group or the header of a chord.

    Args:
        tasks: the value of ``kwargs["tasks"]`` or ``kwargs["header"]``: an iterable of signatures, or one signature. A
            generator can be iterated twice, because Celery has wrapped it and keeps the items that it yielded.
    """
    if isinstance(tasks, dict):
        return members(tasks["kwargs"]["tasks"]) if tasks.get("subtask_type") in ("group", "chain") else [tasks]
    return list(tasks or ())


def links(signature: Any, name: str) -> tuple[Any, ...]:
    """Return the callbacks (``name="link"``) or errbacks (``name="link_error"``) of a signature."""
    given = (signature.get("options") or {}).get(name) or ()
    return (given,) if isinstance(given, dict) else tuple(given)


def message_options(signature: Any) -> dict[str, Any]:
    """Return those options of a signature that become options of its node.

    Raises:
        UnsupportedCanvas: a node has no such option.
    """
    left_out = (*_LINKS, *_PUBLISH_OPTIONS, *(_POLL_OPTIONS if kind_of(signature) == "chord" else ()))
    options = {name: value for name, value in (signature.get("options") or {}).items() if name not in left_out}
    unknown = sorted(name for name, value in options.items() if name not in OPTIONS and value is not None)
    if unknown:
        raise UnsupportedCanvas(
            f"option {unknown[0]!r} of {signature['task']!r} can't be kept: remove it from the signature. A node takes "
            f"{', '.join(sorted(OPTIONS))}; the IDs of the node and the run replace Celery's own ids"
        )
    return {name: value for name, value in options.items() if value is not None}


def flattened(groups: Iterable[Any]) -> list[Any]:
    """Return the members of groups, with nested groups replaced by their members and empty chains left out.

    Celery flattens groups in the same way.
    """
    flat: list[Any] = []
    stack = list(groups)[::-1]
    while stack:
        signature = stack.pop()
        kind = kind_of(signature)
        if kind == "group":
            stack.extend(members(signature["kwargs"]["tasks"])[::-1])
        elif kind != "chain" or members(signature["kwargs"]["tasks"]):
            flat.append(signature)
    return flat


def chunked(signature: Any) -> list[Any]:
    """Return the group members for a ``chunks`` signature: a ``starmap`` signature for each chunk."""
    kwargs = signature["kwargs"]
    items = iter(kwargs["it"])
    starmaps = []
    while chunk := list(islice(items, kwargs["n"])):
        starmap = {"task": kwargs["task"], "it": chunk}
        starmaps.append({"task": STARMAP, "kwargs": starmap, "options": {}, "immutable": True})
    return starmaps
