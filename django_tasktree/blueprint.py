"""From built nodes to what the engine inserts."""

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from celery import current_app
from django.utils.functional import Promise

from django_tasktree import serialization
from django_tasktree.atomicity import atomic_alias
from django_tasktree.engine.specs import NodeSpec, Place, RunSpec
from django_tasktree.exceptions import InvalidOption, SerializationError, ValueTooLarge
from django_tasktree.identifiers import new_id
from django_tasktree.nested import holds, replace
from django_tasktree.nodes import NodeParent, TaskTreeNode
from django_tasktree.order import Order
from django_tasktree.references import Output, Reference
from django_tasktree.refusals import explain
from django_tasktree.stand_ins import STAND_INS, STOOD_FOR
from django_tasktree.states import OnFailure, RunWhen
from django_tasktree.text import LONG_NAME_LENGTH, check_storable

#: What is not stored as it is: the worker, or the writer, puts something else in its place.
_REPLACED = (Output, Reference, Promise, *STOOD_FOR, *STAND_INS)


@dataclass
class Blueprint:
    """The nodes of a tree as they are to be inserted, parents first, and the key of each built node."""

    specs: list[NodeSpec] = field(default_factory=list)
    keys: dict[Hashable, UUID] = field(default_factory=dict)


def draw(root: NodeParent, place: Place) -> Blueprint:
    """Describe all nodes below a tree, or those that are added to a node.

    Args:
        root: the tree, or what the nodes were added to.
        place: where they go.

    Raises:
        SerializationError: an argument can't be stored; the message names it.
        BrokenReference: an argument refers to a node outside the tree, or to one that may not have finished by then.
        InvalidOption: a ``max_active`` stands below another.
        ImproperlyConfigured: a task is atomic on another database than that of the nodes.
    """
    blueprint = Blueprint(keys={root: place.parent_id or place.run_id})
    drawn = list(_walk(root, place, blueprint.keys))
    writer = _Writer(root, blueprint.keys)
    blueprint.specs = [writer.spec(*item) for item in drawn]
    return blueprint


def draw_run(tree: NodeParent, run_spec: RunSpec) -> Blueprint:
    """Describe all nodes of a tree that becomes a run, or a draft anew; see :func:`draw`."""
    stops = run_spec.id if run_spec.on_failure == OnFailure.STOP else None
    limiter = run_spec.id if run_spec.max_active is not None else None
    return draw(tree, Place(run_spec.id, stops=stops, limiter=limiter))


def _walk(root: NodeParent, place: Place, keys: dict[Hashable, UUID]) -> Iterator[tuple[TaskTreeNode, Place]]:
    """Give each node its key and its place, level by level."""
    parents: deque[tuple[NodeParent, Place]] = deque([(root, place)])
    while parents:
        parent, under = parents.popleft()
        for position, node in enumerate(parent.children, under.first_position):
            key = keys[node] = new_id()
            yield node, Place(under.run_id, under.parent_id, position, under.stops, under.limiter)
            if node.children:
                parents.append((node, _below(node, key, under)))


def _below(node: TaskTreeNode, key: UUID, under: Place) -> Place:
    """Where a node's children go: a stop counts from the topmost node that has it, a limit from the nearest."""
    if node.rules.max_active is not None and under.limiter not in (None, under.run_id):
        raise InvalidOption(f"node {node!r} has a max_active below another node's: only one of the two can hold")
    stops = under.stops or (key if node.rules.on_failure == OnFailure.STOP else None)
    limiter = key if node.rules.max_active is not None else under.limiter
    return Place(under.run_id, key, 0, stops, limiter)


class _Writer:
    """Writes nodes down; what their references may refer to is only worked out where there are any."""

    def __init__(self, root: NodeParent, keys: dict[Hashable, UUID]) -> None:
        self._root = root
        self._keys = keys
        self._order: Order | None = None
        self._checked: set[str] = set()

    def spec(self, node: TaskTreeNode, place: Place) -> NodeSpec:
        """Describe one node."""
        self._check_task(node.task)
        rules = node.rules
        own_stop = self._keys[node] if rules.on_failure == OnFailure.STOP else None
        args, kwargs = node.args, node.kwargs
        has_references = holds((args, kwargs), _REPLACED)
        if has_references:
            args, kwargs = replace((args, kwargs), Output, lambda output: self._bind(node, output))
        return NodeSpec(
            id=self._keys[node],
            parent_id=place.parent_id,
            position=place.first_position,
            task=node.task,
            args=_arguments(node, "args", args, has_references=has_references),
            kwargs=_arguments(node, "kwargs", kwargs, has_references=has_references),
            options=serialization.dumps(node.options) if node.options else "{}",
            has_references=has_references,
            run_when=RunWhen(rules.run_when),
            is_gather=rules.is_gather,
            child_count=len(node.children),
            allow_failure=rules.allow_failure,
            on_failure=OnFailure(rules.on_failure),
            max_active=rules.max_active,
            stops=place.stops or own_stop,
            limiter=place.limiter,
        )

    def _check_task(self, name: str) -> None:
        """Refuse now what could only fail later."""
        if name not in self._checked:
            check_storable("the name of the task", name, LONG_NAME_LENGTH)
            atomic_alias(current_app.tasks.get(name))
            self._checked.add(name)

    def _bind(self, node: TaskTreeNode, output: Output) -> Reference:
        if self._order is None:
            self._order = Order(self._root)
        self._order.check(node, output)
        return Reference(self._keys[output.node], output.kind, output.path)


def _arguments(node: TaskTreeNode, what: str, value: Any, *, has_references: bool) -> str:
    if not value:
        return "[]" if what == "args" else "{}"
    serializer = node.options.get("serializer") or current_app.conf.task_serializer
    prefer = "pickle" if serializer == "pickle" else "json"
    try:
        if not has_references:
            # Nothing in it has a stand-in: one look at each value is enough.
            return serialization.check_size(serialization.dumps(value, prefer=prefer), "max_args_size")
        _refuse_lazy(value)
        return serialization.write(value, "max_args_size", prefer=prefer)
    except SerializationError as exc:
        explained = None if isinstance(exc, ValueTooLarge) else explain(node, prefer)
        raise type(exc)(explained or f"the {what} of node {node!r} can't be stored: {exc}") from exc


def _refuse_lazy(value: Any) -> None:
    """Refuse what JSON would make a text of, in the language that is active now."""
    if not serialization.pickle_accepted() and holds(value, Promise):
        raise SerializationError("lazy translations can't be stored")
