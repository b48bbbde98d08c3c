"""Convert a canvas to nodes of a tree.

The successor of a task in a chain becomes its child. The members of a group become children of the node before the
group, and the successor of the group a gather node beside them. If the parent of a group would have other children too,
the group gets a parent of its own: a node with the task ``django_tasktree.fork``, which does nothing.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from django_tasktree.builder.canvas.errbacks import add_errbacks
from django_tasktree.builder.canvas.signatures import (
    CHUNKS,
    MAP,
    STARMAP,
    chunked,
    flattened,
    kind_of,
    links,
    members,
    message_options,
)
from django_tasktree.builder.canvas.slots import Slot
from django_tasktree.builder.canvas.trampoline import run
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.builder.own_tasks import FORK
from django_tasktree.exceptions import UnsupportedCanvas

_EACH, _EACH_STARRED = "django_tasktree.xmap", "django_tasktree.xstarmap"


@dataclass(frozen=True)
class Inherited:
    """What a part inherits from the enclosing chain, group or chord.

    Attributes:
        args: positional arguments that come before its own.
        kwargs: keyword arguments that override its own.
        options: options that override its own.
        links: callbacks of the enclosing part, if this is its last part.
        errbacks: signatures that are called if it fails.
        may_fail: whether its failure counts for nothing else, like that of a callback.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    links: tuple[Any, ...] = ()
    errbacks: tuple[Any, ...] = ()
    may_fail: bool = False

    def within(self, signature: Any) -> "Inherited":
        """Return what the parts of a chain, group or chord inherit, its own partial arguments and options included."""
        immutable = signature.get("immutable")
        return replace(
            self,
            args=tuple(signature.get("args") or ()) if immutable else (*self.args, *(signature.get("args") or ())),
            kwargs={} if immutable else self.kwargs,
            options={**message_options(signature), **self.options},
            links=(*links(signature, "link"), *self.links),
            errbacks=(*links(signature, "link_error"), *self.errbacks),
        )

    def after(self, value: Any) -> "Inherited":
        """Return what the next part inherits: the result of the part before it as its first argument."""
        return Inherited(args=(value,), errbacks=self.errbacks, may_fail=self.may_fail)


@dataclass(frozen=True)
class Tail:
    """The end of a part that was added.

    Attributes:
        slot: where the next part is added.
        value: the result that the next part gets: a reference, or a list of them.
    """

    slot: Slot
    value: Any


#: A generator for the trampoline: yields generators that add parts, and returns the end of the part that it added, or
#: None if the part is empty.
_Placing = Generator[Any, Any, Tail | None]


def import_canvas(tree: NodeParent, signature: Any) -> Any:
    """Add the nodes for a canvas to a tree.

    Args:
        tree: the tree.
        signature: a signature of any kind, or a dict with its JSON representation.

    Returns:
        The result of the canvas, with outputs of nodes.

    Raises:
        UnsupportedCanvas: a part has no equivalent in a tree; the message names it.
        TaskNotSupported, UnknownTask, TypeError: see :meth:`django_tasktree.TaskTree.add_task`.
    """
    end: Tail | None = run(_place(signature, Slot(tree), Inherited()))
    return [] if end is None else end.value


def _place(signature: Any, slot: Slot, incoming: Inherited) -> _Placing:
    """Return the generator that adds a signature of any kind."""
    kind = kind_of(signature)
    if kind == "chain":
        return _place_chain(signature, slot, incoming)
    if kind == "group":
        return _place_members(flattened([signature]), slot, incoming.within(signature))
    if kind == "chord":
        return _place_chord(signature, slot, incoming)
    if kind == CHUNKS:
        return _place_members(chunked(signature), slot, incoming.within({**signature, "args": ()}))
    return _place_task(signature, kind, slot, incoming)


def _place_task(signature: Any, kind: str, slot: Slot, incoming: Inherited) -> _Placing:
    name, args, kwargs = _call(signature, kind, incoming)
    options = {**message_options(signature), **incoming.options, "allow_failure": incoming.may_fail}
    node = slot.add(name, args, kwargs, options)
    add_errbacks(slot, node, (*links(signature, "link_error"), *incoming.errbacks))
    for callback in (*links(signature, "link"), *incoming.links):
        yield _place(callback, Slot(node, shared=True), Inherited(args=(node.output,), may_fail=True))
    return Tail(Slot(node), node.output)


def _call(signature: Any, kind: str, incoming: Inherited) -> tuple[str, Any, Any]:
    given, kwargs = signature.get("args") or (), signature.get("kwargs") or {}
    if kind in (MAP, STARMAP):
        name = _EACH if kind == MAP else _EACH_STARRED
        return name, (kwargs["task"]["task"], list(kwargs["it"])), {}
    if signature.get("immutable"):
        return signature["task"], tuple(given), kwargs
    return signature["task"], (*incoming.args, *given), {**kwargs, **incoming.kwargs}


def _place_chain(signature: Any, slot: Slot, incoming: Inherited) -> _Placing:
    inner = incoming.within(signature)
    steps = [_unrolled(step) for step in members(signature["kwargs"]["tasks"])]
    steps = [step for step in steps if not _is_empty(step)]
    last: Tail | None = None
    given = replace(inner, links=())
    for number, step in enumerate(steps, 1):
        if number == len(steps):
            given = replace(given, links=inner.links)
        placed = yield _place(step, slot, given)
        if placed is not None:
            last, slot = placed, placed.slot
            given = inner.after(placed.value)
    return last


def _unrolled(step: Any) -> Any:
    """Return the only member of a group of one, which takes the place of the group in a chain, as in Celery."""
    while kind_of(step) == "group" and len(only := members(step["kwargs"]["tasks"])) == 1:
        step = only[0]
    return step


def _is_empty(step: Any) -> bool:
    return kind_of(step) == "group" and not flattened([step])


def _place_chord(signature: Any, slot: Slot, incoming: Inherited) -> _Placing:
    inner = incoming.within(signature)
    header = flattened(members(signature["kwargs"]["header"]))
    body = signature["kwargs"].get("body")
    if body is None:
        raise UnsupportedCanvas("a chord without a body is a group: import the group instead")
    kwargs = {**(signature["kwargs"].get("kwargs") or {}), **inner.kwargs}
    placed = yield _place_members(header, slot, replace(inner, kwargs=kwargs, links=(), errbacks=()))
    after = inner.after(placed.value if placed is not None else [])
    after = replace(after, options=inner.options, links=inner.links)
    ended: Tail | None = yield _place(body, placed.slot if placed is not None else slot, after)
    return ended


def _place_members(header: list[Any], slot: Slot, incoming: Inherited) -> _Placing:
    if not header:
        return None
    if incoming.links:
        raise UnsupportedCanvas("a group can't have a callback (link): make a chord of the group and the callback")
    parent = _base(header, slot, incoming)
    before = len(parent.children)
    values = []
    for member in header:
        placed = yield _place(member, Slot(parent, shared=True), incoming)
        values.append(placed.value if placed is not None else [])
    alone = before == 0 and len(parent.children) == len(header) and all(kind_of(member) in _SINGLE for member in header)
    # Prefer one reference to all children to a list with a reference for each.
    return Tail(Slot(parent, gathers=True), parent.outputs if alone else values)


_SINGLE = ("task", MAP, STARMAP)
_ROUTING = ("queue", "routing_key", "exchange", "priority")


def _base(header: list[Any], slot: Slot, incoming: Inherited) -> NodeParent:
    """Return the parent of the members of a group; add a fork if the slot can't be used directly."""
    if not slot.gathers and not slot.shared:
        return slot.parent
    first = header[0]
    # The fork must not wait in a queue that no worker consumes. Workers consume the queue of the first member.
    options = {**(message_options(first) if kind_of(first) in _SINGLE else {}), **incoming.options}
    return slot.add(FORK, (), {}, {name: value for name, value in options.items() if name in _ROUTING})
