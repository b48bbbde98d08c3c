"""Compile a tree into the rows that the engine inserts."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from celery import current_app
from django.utils.functional import Promise

from django_tasktree.builder.atomicity import atomic_alias
from django_tasktree.builder.children import children_of, kwargs_of, labels_of, options_of
from django_tasktree.builder.keys import NodeKeys
from django_tasktree.builder.lanes import Lanes
from django_tasktree.builder.maps import known_items, late_items, message_options, tolerates
from django_tasktree.builder.nodes import MapNode, NodeParent, TaskTreeNode, WaitNode
from django_tasktree.builder.order import Order
from django_tasktree.builder.template import Copies, Template, children
from django_tasktree.builder.tolerance import tolerated
from django_tasktree.builder.unstorable import explain
from django_tasktree.encoding import serialization
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.items import Item
from django_tasktree.encoding.nested import holds, replace
from django_tasktree.encoding.references import Output, Reference, bound, target_of
from django_tasktree.encoding.stand_ins import STAND_INS, STOOD_FOR
from django_tasktree.encoding.text import LONG_NAME_LENGTH, check_storable
from django_tasktree.engine.control.waits import lane_of_event
from django_tasktree.engine.labels import refuse_taken_labels
from django_tasktree.engine.scopes import limit_scope_below, place_in_run, stop_scope
from django_tasktree.engine.types import NodeSpec, Placement, RunSpec
from django_tasktree.exceptions import BrokenReference, InvalidOption, SerializationError, ValueTooLarge
from django_tasktree.states import OnFailure, RunWhen

if TYPE_CHECKING:
    from django_tasktree.builder.tree import Tree

#: Types of values that are replaced: by the compiler below when they are stored, or by the worker before the node runs.
_REPLACED = (Output, Reference, Promise, *STOOD_FOR, *STAND_INS)
_REPLACED_OR_ITEM = (*_REPLACED, Item)
#: The stop scope and the limit scope that apply to the children of a node.
_Scopes = tuple[UUID | None, UUID | None]


class TreePlan:
    """The rows for the nodes of a tree. Each is made when it is iterated: all at once would need too much memory.

    A plan can be iterated several times. The root nodes come first, and each node comes before its children.

    Attributes:
        keys: node of the tree -> primary key of its row. The root is in it too.

    Raises:
        InvalidOption: a node with ``max_active`` is below another one.
        ValueError: a node is in the tree twice, or below itself, or something else is in a list of children.
    """

    def __init__(self, root: NodeParent, place: Placement) -> None:
        self._root = root
        self._place = place
        #: Node with children -> the placement of these, if other scopes apply there than below the root.
        self._scopes: dict[NodeParent, _Scopes] = {}
        #: Map node -> the items of each of its children, for maps whose items are known.
        self._items: dict[TaskTreeNode, list[Any]] = {}
        # Assign all IDs first: a reference may point to a node that comes later.
        self.keys = NodeKeys(root, place.parent_id or place.run_id)
        self._assign()

    def __len__(self) -> int:
        return len(self.keys) - 1 + sum(map(len, self._items.values()))

    def __iter__(self) -> Iterator[NodeSpec]:
        """Yield the row of each node.

        Raises:
            SerializationError: an argument can't be stored; the message names it.
            BrokenReference: an argument refers to a node outside the tree, or to one that may not have finished when
                the node starts.
            ImproperlyConfigured: a task is atomic on another database than that of the nodes.
        """
        compiler = _Compiler(self._root, self.keys, self._items)
        for parent in cast("Iterable[NodeParent]", self.keys):
            nodes = children_of(parent)
            if nodes:
                under = self._below(parent)
                for position, node in enumerate(nodes, under.first_position):
                    yield compiler.spec(node, position, under)
        for node in self._items:
            yield from compiler.copies(node, self._below(node))

    def result_of(self, tree: "Tree") -> str | None:
        """Return the result of the tree in its stored form; None if it has none.

        Args:
            tree: the tree.

        Raises:
            BrokenReference: the result contains an output of a node outside the tree.
            SerializationError: it can't be stored.
        """
        if not tree.returned:
            return None
        (value,) = tree.returned
        if holds(value, Item):
            raise InvalidOption("the result of the tree contains ITEM, which only the arguments of a map's tasks may")
        try:
            _refuse_lazy(value)
            return serialization.write(replace(value, Output, self._referred), "max_args_size")
        except SerializationError as exc:
            if tree.returns_canvas and isinstance(exc, ValueTooLarge):
                return None
            raise type(exc)(f"the result of the tree can't be stored: {exc}") from exc

    def _referred(self, output: Output) -> Reference:
        source, kind = target_of(output)
        if source not in self.keys:
            raise BrokenReference(
                f"the result of the tree contains {kind} of {source!r}, which is not in the tree: take nodes that "
                "add_task() or gather() returned and that are still there"
            )
        return bound(output, self.keys[source])

    def _assign(self) -> None:
        """Assign an ID to each node, level by level, so parents come before children."""
        parents: deque[NodeParent] = deque([self._root])
        while parents:
            parent = parents.popleft()
            above = self._scopes_below(parent)
            for node in children_of(parent):
                if not isinstance(node, TaskTreeNode) or node in self.keys:
                    raise _wrong_child(parent, node)
                key = new_id()
                self.keys.add(node, key)
                if isinstance(node, MapNode):
                    self._take_items(node)
                if children_of(node) or isinstance(node, MapNode):
                    parents.append(node)
                    self._scopes_of(node, key, above)

    def _take_items(self, node: MapNode[Any]) -> None:
        items = known_items(node)
        if items is not None:
            _refuse_lazy(items)
            self._items[node] = list(children(items, node.batch))

    def _scopes_of(self, node: TaskTreeNode, key: UUID, above: _Scopes) -> None:
        """Remember which scopes apply to a node's children, if they are not those of most nodes."""
        below = scopes_below(node, key, above, self._place.run_id)
        if below != self._scopes_below(self._root):
            self._scopes[node] = above if below == above else below

    def _scopes_below(self, parent: NodeParent) -> _Scopes:
        return self._scopes.get(parent) or (self._place.stop_scope_id, self._place.limit_scope_id)

    def _below(self, parent: NodeParent) -> Placement:
        """Return the placement of a node's children."""
        if parent is self._root:
            return self._place
        # The nodes that gather the children of a map come after them; those of a result are made later.
        first = len(self._items.get(cast("TaskTreeNode", parent), ()))
        return Placement(self._place.run_id, self.keys[parent], first, *self._scopes_below(parent))


def scopes_below(node: TaskTreeNode, key: UUID, above: _Scopes, run_id: UUID) -> _Scopes:
    """Return the scopes that apply to a node's children.

    Of several ancestors with ``on_failure="stop"`` the topmost one applies; of several limits the nearest, that is,
    the node's instead of the run's.

    Args:
        node: the node.
        key: its ID.
        above: the scopes that apply to the node itself.
        run_id: the run.

    Raises:
        InvalidOption: a node with ``max_active`` is below another one.
    """
    stop_scope_id, limit_scope_id = above
    if node.rules.max_active is not None and limit_scope_id not in (None, run_id):
        raise InvalidOption(
            f"node {node!r} has max_active, and so has a node above it: remove one, as only one limit can apply"
        )
    return (
        stop_scope(key, _on_failure(node), stop_scope_id),
        limit_scope_below(key, node.rules.max_active, limit_scope_id),
    )


def _on_failure(node: TaskTreeNode) -> str:
    """Return the effect of one failure below a node on the rest: none if the node tolerates failures."""
    return OnFailure.CONTINUE if tolerates(node) else node.rules.on_failure


def plan_nodes(root: NodeParent, place: Placement) -> TreePlan:
    """Return the rows for all nodes below a tree, or for the nodes that are added to a node of a run.

    Args:
        root: the tree, or the object to which the nodes were added.
        place: the run and the parent row, the position of the first node, and the stop and limit that apply there.

    Raises:
        InvalidOption: a child of the node has the label of a new one already; also see :class:`TreePlan`.
        ValueError: see :class:`TreePlan`. More errors are found when the plan is iterated.
    """
    refuse_taken_labels(place.run_id, place.parent_id, list(labels_of(root)))
    return TreePlan(root, place)


def plan_run(tree: NodeParent, run_spec: RunSpec) -> TreePlan:
    """Return the rows for all nodes of a tree that becomes a run or replaces a draft; errors: :func:`plan_nodes`.

    Args:
        tree: the tree.
        run_spec: the row of the run, whose ``on_failure`` and ``max_active`` apply to all nodes.
    """
    return TreePlan(tree, place_in_run(run_spec.id, run_spec.on_failure, run_spec.max_active))


def _wrong_child(parent: NodeParent, child: Any) -> ValueError:
    what = "which is in the tree already" if isinstance(child, TaskTreeNode) else "which is not a node"
    return ValueError(
        f"the children of {parent!r} contain {child!r}, {what}: lists of children are for reading, add nodes with "
        "add_task() or gather()"
    )


class _Compiler:
    """Make the rows of nodes. The order of nodes is computed only if there are references."""

    def __init__(self, root: NodeParent, keys: NodeKeys, items: Mapping[TaskTreeNode, list[Any]]) -> None:
        self._root = root
        self._keys = keys
        self._items = items
        #: Nodes of the templates of maps -> their IDs there.
        self._template_keys: dict[TaskTreeNode, UUID] = {}
        self._order: Order | None = None
        self._checked: set[str] = set()
        self._serializer = current_app.conf.task_serializer
        self._lanes = Lanes()

    def spec(self, node: TaskTreeNode, position: int, under: Placement) -> NodeSpec:
        """Return the row of one node, which is a child of the parent whose placement of children is given."""
        if isinstance(node, WaitNode):
            return self._wait(node, position, under)
        self._check_task(node.task)
        rules = node.rules
        key = self._key(node)
        args, kwargs = node.args, kwargs_of(node)
        is_replaced = has_references = holds((args, kwargs), _REPLACED_OR_ITEM)
        if is_replaced:
            self._check_item(node, (args, kwargs))
            has_references = holds((args, kwargs), _REPLACED)
            args, kwargs = replace((args, kwargs), Output, lambda output: self._bind(node, output))
        options = message_options(node) if isinstance(node, MapNode) else options_of(node)
        spec = NodeSpec(
            id=key,
            parent_id=under.parent_id,
            position=position,
            task=node.task,
            args=self._arguments(node, "args", args, is_replaced=is_replaced),
            kwargs=self._arguments(node, "kwargs", kwargs, is_replaced=is_replaced),
            options=serialization.dumps(options) if options else "{}",
            has_references=has_references,
            run_when=RunWhen(rules.run_when),
            is_gather=rules.is_gather,
            quorum=rules.quorum,
            child_count=len(children_of(node)),
            allow_failure=rules.allow_failure,
            on_failure=OnFailure(rules.on_failure),
            max_active=rules.max_active,
            stop_scope_id=stop_scope(key, _on_failure(node), under.stop_scope_id),
            limit_scope_id=under.limit_scope_id,
            lane=self._lanes.of(node.task, options, is_limited=under.limit_scope_id is not None),
            label=node.label,
        )
        if isinstance(node, MapNode):
            self._complete(spec, node, under)
        return spec

    def copies(self, node: TaskTreeNode, below: Placement) -> Iterator[NodeSpec]:
        """Yield the rows of the children of a map whose items are known, and of what is below them.

        Args:
            node: the map node.
            below: the placement of its children.
        """
        copies = Copies(self._template_nodes(cast("MapNode[Any]", node), below), self._keys[node])
        try:
            for number, item in enumerate(self._items[node]):
                yield from copies.of(item, number)
        except (BrokenReference, InvalidOption, SerializationError) as exc:
            raise type(exc)(f"the children of {node!r} can't be made: {exc}") from exc

    def _complete(self, spec: NodeSpec, node: MapNode[Any], under: Placement) -> None:
        """Add to the row of a map node how many children it has, or the template of its children."""
        items = self._items.get(node)
        if items is not None:
            spec.child_count += len(items)
            spec.tolerated = tolerated(node.tolerate, len(items))
            return
        # Until the number of children is known.
        spec.tolerated = tolerated(node.tolerate, 0)
        below = scopes_below(node, spec.id, (under.stop_scope_id, under.limit_scope_id), under.run_id)
        nodes = self._template_nodes(node, Placement(under.run_id, spec.id, 0, *below))
        spec.template = Template(self._over(node), node.batch, node.tolerate, nodes).text()

    def _over(self, node: MapNode[Any]) -> str:
        over = late_items(node)
        self._check_item(node, over)
        _refuse_lazy(over)
        try:
            bound_over = replace(over, Output, lambda output: self._bind(node, output))
            return serialization.write(bound_over, "max_args_size")
        except SerializationError as exc:
            raise type(exc)(f"the items of {node!r} can't be stored: {exc}") from exc

    def _template_nodes(self, node: MapNode[Any], below: Placement) -> tuple[NodeSpec, ...]:
        """Return the rows of the nodes of one item of a map."""
        if tolerates(node):
            # One failure stops nothing.
            below = dataclasses.replace(below, stop_scope_id=None)
        ordered: list[TaskTreeNode] = [node.each]
        for other in ordered:
            if not isinstance(other, TaskTreeNode) or other in self._template_keys:
                raise _wrong_child(node, other)
            self._template_keys[other] = new_id()
            ordered += children_of(other)
        placements = {node.each: below}
        specs = [self.spec(node.each, 0, below)]
        for parent in ordered:
            above = placements[parent]
            key = self._template_keys[parent]
            scopes = scopes_below(parent, key, (above.stop_scope_id, above.limit_scope_id), above.run_id)
            under = Placement(above.run_id, key, 0, *scopes)
            for position, child in enumerate(children_of(parent)):
                placements[child] = under
                specs.append(self.spec(child, position, under))
        return tuple(specs)

    def _key(self, node: Any) -> UUID:
        return self._template_keys[node] if node in self._template_keys else self._keys[node]

    def _check_item(self, node: TaskTreeNode, value: Any) -> None:
        if node not in self._template_keys and holds(value, Item):
            raise InvalidOption(
                f"the arguments of {node!r} contain ITEM, but it is not below the attribute 'each' of a map"
            )

    def _wait(self, node: WaitNode, position: int, under: Placement) -> NodeSpec:
        """Return the row of a wait node, which never counts towards a limit."""
        rules = node.rules
        key = self._key(node)
        return NodeSpec(
            id=key,
            parent_id=under.parent_id,
            position=position,
            task=node.task,
            args="[]",
            kwargs="{}",
            options="{}",
            has_references=False,
            run_when=RunWhen(rules.run_when),
            is_gather=False,
            child_count=len(children_of(node)),
            allow_failure=rules.allow_failure,
            on_failure=OnFailure(rules.on_failure),
            max_active=rules.max_active,
            stop_scope_id=stop_scope(key, rules.on_failure, under.stop_scope_id),
            lane=lane_of_event(node.spec.event) if node.spec.event else "",
            label=node.label,
            wait=node.spec.write(),
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
        return bound(output, self._key(source))

    def _arguments(self, node: TaskTreeNode, what: str, value: Any, *, is_replaced: bool) -> str:
        if not isinstance(value, Item) and not value:
            return "[]" if what == "args" else "{}"
        serializer = options_of(node).get("serializer") or self._serializer
        prefer = "pickle" if serializer == "pickle" else "json"
        try:
            if not is_replaced:
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
