"""Compile a tree into the rows that the engine inserts."""

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from celery import current_app
from django.utils.functional import Promise

from django_tasktree.builder.atomicity import atomic_alias
from django_tasktree.builder.nodes import NodeParent, TaskTreeNode
from django_tasktree.builder.order import Order
from django_tasktree.builder.unstorable import explain
from django_tasktree.encoding import serialization
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.nested import holds, replace
from django_tasktree.encoding.references import Output, Reference, bound, target_of
from django_tasktree.encoding.stand_ins import STAND_INS, STOOD_FOR
from django_tasktree.encoding.text import LONG_NAME_LENGTH, check_storable
from django_tasktree.engine.scopes import limit_scope_below, place_in_run, stop_scope
from django_tasktree.engine.types import NodeSpec, Placement, RunSpec
from django_tasktree.exceptions import InvalidOption, SerializationError, ValueTooLarge
from django_tasktree.states import OnFailure, RunWhen

#: Types of values that are replaced: by the compiler below when they are stored, or by the worker before the node runs.
_REPLACED = (Output, Reference, Promise, *STOOD_FOR, *STAND_INS)


@dataclass
class TreePlan:
    """The rows for the nodes of a tree.

    Attributes:
        specs: the rows, parents first.
        keys: node of the tree -> primary key of its row. The root is in it too.
    """

    specs: list[NodeSpec] = field(default_factory=list)
    keys: dict[Hashable, UUID] = field(default_factory=dict)


def plan_nodes(root: NodeParent, place: Placement) -> TreePlan:
    """Return the rows for all nodes below a tree, or for the nodes that are added to a node of a run.

    Args:
        root: the tree, or the object to which the nodes were added.
        place: the run and the parent row, the position of the first node, and the stop and limit that apply there.

    Raises:
        SerializationError: an argument can't be stored; the message names it.
        BrokenReference: an argument refers to a node outside the tree, or to one that may not have finished when the
            node starts.
        InvalidOption: a node with ``max_active`` is below another one.
        ImproperlyConfigured: a task is atomic on another database than that of the nodes.
        ValueError: a node is in the tree twice, or below itself, or something else is in a list of children.
    """
    plan = TreePlan(keys={root: place.parent_id or place.run_id})
    # Assign all IDs first: a reference may point to a node that comes later.
    placed = list(_assign(root, place, plan.keys))
    compiler = _Compiler(root, plan.keys)
    plan.specs = [compiler.spec(node, placement) for node, placement in placed]
    return plan


def plan_run(tree: NodeParent, run_spec: RunSpec) -> TreePlan:
    """Return the rows for all nodes of a tree that becomes a run or replaces a draft; errors: :func:`plan_nodes`.

    Args:
        tree: the tree.
        run_spec: the row of the run, whose ``on_failure`` and ``max_active`` apply to all nodes.
    """
    return plan_nodes(tree, place_in_run(run_spec.id, run_spec.on_failure, run_spec.max_active))


def _assign(root: NodeParent, place: Placement, keys: dict[Hashable, UUID]) -> Iterator[tuple[TaskTreeNode, Placement]]:
    """Assign an ID to each node; yield it with its placement, level by level, so parents come before children."""
    parents: deque[tuple[NodeParent, Placement]] = deque([(root, place)])
    while parents:
        parent, under = parents.popleft()
        for position, node in enumerate(parent.children, under.first_position):
            if not isinstance(node, TaskTreeNode) or node in keys:
                raise _wrong_child(parent, node)
            key = keys[node] = new_id()
            stop_scope_id = stop_scope(key, node.rules.on_failure, under.stop_scope_id)
            yield node, Placement(under.run_id, under.parent_id, position, stop_scope_id, under.limit_scope_id)
            if node.children:
                parents.append((node, _below(node, key, under, stop_scope_id)))


def _wrong_child(parent: NodeParent, child: Any) -> ValueError:
    what = "which is in the tree already" if isinstance(child, TaskTreeNode) else "which is not a node"
    return ValueError(
        f"the children of {parent!r} contain {child!r}, {what}: lists of children are for reading, add nodes with "
        "add_task() or gather()"
    )


def _below(node: TaskTreeNode, key: UUID, under: Placement, stop_scope_id: UUID | None) -> Placement:
    """Return the placement of a node's children.

    Of several ancestors with ``on_failure="stop"`` the topmost one applies; of several limits the nearest, that is, the
    node's instead of the run's.
    """
    if node.rules.max_active is not None and under.limit_scope_id not in (None, under.run_id):
        raise InvalidOption(
            f"node {node!r} has max_active, and so has a node above it: remove one, as only one limit can apply"
        )
    limit_scope_id = limit_scope_below(key, node.rules.max_active, under.limit_scope_id)
    return Placement(under.run_id, key, 0, stop_scope_id, limit_scope_id)


class _Compiler:
    """Make the rows of nodes. The order of nodes is computed only if there are references."""

    def __init__(self, root: NodeParent, keys: dict[Hashable, UUID]) -> None:
        self._root = root
        self._keys = keys
        self._order: Order | None = None
        self._checked: set[str] = set()

    def spec(self, node: TaskTreeNode, place: Placement) -> NodeSpec:
        """Return the row of one node."""
        self._check_task(node.task)
        rules = node.rules
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
            stop_scope_id=place.stop_scope_id,
            limit_scope_id=place.limit_scope_id,
        )

    def _check_task(self, name: str) -> None:
        """Check now what would otherwise fail at insertion or in the worker."""
        if name not in self._checked:
            check_storable("the name of the task", name, LONG_NAME_LENGTH)
            atomic_alias(current_app.tasks.get(name))
            self._checked.add(name)

    def _bind(self, node: TaskTreeNode, output: Output) -> Reference:
        if self._order is None:
            self._order = Order(self._root)
        self._order.check(node, output)
        source, _kind = target_of(output)
        return bound(output, self._keys[source])


def _arguments(node: TaskTreeNode, what: str, value: Any, *, has_references: bool) -> str:
    if not value:
        return "[]" if what == "args" else "{}"
    serializer = node.options.get("serializer") or current_app.conf.task_serializer
    prefer = "pickle" if serializer == "pickle" else "json"
    try:
        if not has_references:
            # No value is replaced, so a single pass is enough.
            return serialization.check_size(serialization.dumps(value, prefer=prefer), "max_args_size")
        _refuse_lazy(value)
        return serialization.write(value, "max_args_size", prefer=prefer)
    except SerializationError as exc:
        explained = None if isinstance(exc, ValueTooLarge) else explain(node, prefer)
        raise type(exc)(explained or f"the {what} of node {node!r} can't be stored: {exc}") from exc


def _refuse_lazy(value: Any) -> None:
    """Raise SerializationError for lazy translations, which JSON would turn into text in the current language."""
    if not serialization.pickle_accepted() and holds(value, Promise):
        raise SerializationError("lazy translations can't be stored: pass str(…) of them, or translate in the task")
