"""Place the parts of a canvas in a tree.

What follows a task is its child. The members of a group are children of what came before, and what follows them is a
gather node beside them. A group that would share its parent with others gets a node of its own to stand on, a fork.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from django_tasktree.canvas.chunking import chunked
from django_tasktree.canvas.errbacks import add_errbacks
from django_tasktree.canvas.signatures import CHUNKS, MAP, STARMAP, flattened, kind_of, links, members, message_options
from django_tasktree.canvas.trampoline import run
from django_tasktree.exceptions import UnsupportedCanvas
from django_tasktree.nodes import NodeParent, TaskTreeNode

_FORK, _EACH, _EACH_STARRED = "django_tasktree.fork", "django_tasktree.map", "django_tasktree.starmap"


@dataclass(frozen=True)
class Spot:
    """Where the next part goes.

    Attributes:
        parent: what it is added to.
        gathers: whether it waits for all else under that.
        shared: whether something else is to wait for what is added there, or is added there too.
    """

    parent: NodeParent
    gathers: bool = False
    shared: bool = False

    def add(self, task: str, args: Any, kwargs: Any, options: dict[str, Any]) -> TaskTreeNode:
        """Add a node."""
        add = self.parent.gather if self.gathers else self.parent.add_task
        return add(task, args, kwargs, **options)


@dataclass(frozen=True)
class Incoming:
    """What a part is given from outside.

    Attributes:
        args: come before its own arguments.
        kwargs: go over its own.
        options: go over its own.
        links: callbacks of what it is the end of.
        errbacks: called if it fails.
        may_fail: whether its failure matters to nothing else, as that of a callback.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    links: tuple[Any, ...] = ()
    errbacks: tuple[Any, ...] = ()
    may_fail: bool = False

    def within(self, signature: Any) -> "Incoming":
        """What the parts of a chain, group or chord are given: its own partial arguments and options as well."""
        immutable = signature.get("immutable")
        return replace(
            self,
            args=tuple(signature.get("args") or ()) if immutable else (*self.args, *(signature.get("args") or ())),
            kwargs={} if immutable else self.kwargs,
            options={**message_options(signature), **self.options},
            links=(*links(signature, "link"), *self.links),
            errbacks=(*links(signature, "link_error"), *self.errbacks),
        )

    def after(self, value: Any) -> "Incoming":
        """What a later part is given: the result of the one before."""
        return Incoming(args=(value,), errbacks=self.errbacks, may_fail=self.may_fail)


@dataclass(frozen=True)
class Placed:
    """A part that stands in the tree: where the next one goes, and what it is given."""

    spot: Spot
    value: Any


#: Yields further placings, and returns what was placed; None where there was nothing to place.
_Placing = Generator[Any, Any, Placed | None]


def import_canvas(tree: NodeParent, signature: Any) -> None:
    """Add all of a canvas to a tree.

    Args:
        tree: the tree.
        signature: a signature of any kind, or the dict that it becomes as JSON.

    Raises:
        UnsupportedCanvas: something in it can't be kept.
        NotACitizen, UnknownTask, TypeError: see :meth:`django_tasktree.TaskTree.add_task`.
    """
    run(_place(signature, Spot(tree), Incoming()))


def _place(signature: Any, spot: Spot, incoming: Incoming) -> _Placing:
    """Choose what places a signature."""
    kind = kind_of(signature)
    if kind == "chain":
        return _place_chain(signature, spot, incoming)
    if kind == "group":
        return _place_members(flattened([signature]), spot, incoming.within(signature))
    if kind == "chord":
        return _place_chord(signature, spot, incoming)
    if kind == CHUNKS:
        return _place_members(chunked(signature), spot, incoming.within({**signature, "args": ()}))
    return _place_task(signature, kind, spot, incoming)


def _place_task(signature: Any, kind: str, spot: Spot, incoming: Incoming) -> _Placing:
    name, args, kwargs = _call(signature, kind, incoming)
    options = {**message_options(signature), **incoming.options, "allow_failure": incoming.may_fail}
    node = spot.add(name, args, kwargs, options)
    add_errbacks(spot, node, (*links(signature, "link_error"), *incoming.errbacks))
    for callback in (*links(signature, "link"), *incoming.links):
        yield _place(callback, Spot(node, shared=True), Incoming(args=(node.output,), may_fail=True))
    return Placed(Spot(node), node.output)


def _call(signature: Any, kind: str, incoming: Incoming) -> tuple[str, Any, Any]:
    given, kwargs = signature.get("args") or (), signature.get("kwargs") or {}
    if kind in (MAP, STARMAP):
        name = _EACH if kind == MAP else _EACH_STARRED
        return name, (kwargs["task"]["task"], list(kwargs["it"])), {}
    if signature.get("immutable"):
        return signature["task"], tuple(given), kwargs
    return signature["task"], (*incoming.args, *given), {**kwargs, **incoming.kwargs}


def _place_chain(signature: Any, spot: Spot, incoming: Incoming) -> _Placing:
    inside = incoming.within(signature)
    steps = [_unrolled(step) for step in members(signature["kwargs"]["tasks"])]
    steps = [step for step in steps if not _is_empty(step)]
    last: Placed | None = None
    given = replace(inside, links=())
    for number, step in enumerate(steps, 1):
        if number == len(steps):
            given = replace(given, links=inside.links)
        placed = yield _place(step, spot, given)
        if placed is not None:
            last, spot = placed, placed.spot
            given = inside.after(placed.value)
    return last


def _unrolled(step: Any) -> Any:
    """A group of one, as a step of a chain, is that one; Celery does so too."""
    while kind_of(step) == "group" and len(inner := members(step["kwargs"]["tasks"])) == 1:
        step = inner[0]
    return step


def _is_empty(step: Any) -> bool:
    return kind_of(step) == "group" and not flattened([step])


def _place_chord(signature: Any, spot: Spot, incoming: Incoming) -> _Placing:
    inside = incoming.within(signature)
    header = flattened(members(signature["kwargs"]["header"]))
    body = signature["kwargs"].get("body")
    if body is None:
        raise UnsupportedCanvas("a chord without a body is a group: import the group instead")
    kwargs = {**(signature["kwargs"].get("kwargs") or {}), **inside.kwargs}
    placed = yield _place_members(header, spot, replace(inside, kwargs=kwargs, links=(), errbacks=()))
    after = inside.after(placed.value if placed is not None else [])
    after = replace(after, options=inside.options, links=inside.links)
    ended: Placed | None = yield _place(body, placed.spot if placed is not None else spot, after)
    return ended


def _place_members(header: list[Any], spot: Spot, incoming: Incoming) -> _Placing:
    if not header:
        return None
    if incoming.links:
        raise UnsupportedCanvas("a group can't have a callback (link): let a task follow it, which makes it a chord")
    parent = _base(header, spot, incoming)
    before = len(parent.children)
    values = []
    for member in header:
        placed = yield _place(member, Spot(parent, shared=True), incoming)
        values.append(placed.value if placed is not None else [])
    alone = before == 0 and len(parent.children) == len(header) and all(kind_of(member) in _SINGLE for member in header)
    # The short form: one reference, however many members there are.
    return Placed(Spot(parent, gathers=True), parent.outputs if alone else values)


_SINGLE = ("task", MAP, STARMAP)
_ROUTING = ("queue", "routing_key", "exchange", "priority")


def _base(header: list[Any], spot: Spot, incoming: Incoming) -> NodeParent:
    """What the members of a group are added to."""
    if not spot.gathers and not spot.shared:
        return spot.parent
    first = header[0]
    # Where the first member goes somebody consumes; a fork must not wait in a queue that nobody does.
    options = {**(message_options(first) if kind_of(first) in _SINGLE else {}), **incoming.options}
    return spot.add(_FORK, (), {}, {name: value for name, value in options.items() if name in _ROUTING})
