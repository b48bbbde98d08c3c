"""The nodes from which a map node makes those of each item, as they are stored in its row."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any
from uuid import UUID

from celery import current_app

from django_tasktree.encoding import nested, serialization
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.items import Item
from django_tasktree.encoding.placeholders import OUTPUT_TYPE
from django_tasktree.encoding.references import Reference
from django_tasktree.encoding.stand_ins import STAND_INS, STOOD_FOR
from django_tasktree.engine.types import NodeSpec
from django_tasktree.exceptions import BrokenReference, InvalidOption, SerializationError
from django_tasktree.states import OnFailure, RunWhen

#: The columns with IDs of nodes.
_KEYS = ("id", "parent_id", "stop_scope_id", "limit_scope_id")
_COLUMNS = tuple(field.name for field in fields(NodeSpec))
_ENUMERATIONS: Mapping[str, Callable[[str], Any]] = {"run_when": RunWhen, "on_failure": OnFailure}
_LATE_VALUES = (*STOOD_FOR, *STAND_INS)
#: What an item must be if it is unpacked.
_UNPACKED: Mapping[str, Any] = {"args": (list, tuple), "kwargs": dict}


@dataclass(frozen=True)
class Template:
    """The nodes of one item of a map, and where its items come from.

    Attributes:
        over: the items, in the format of ``serialization``: a list, or a reference to a result.
        batch: how many items a child gets, as a list; None: one item, not in a list.
        tolerate: how many children may fail, see :func:`django_tasktree.builder.tolerance.tolerated`.
        nodes: the nodes of one item, the child of the map first and each parent before its children. They have IDs of
            their own, which do not occur in the table, and placeholders for the item in their arguments.
    """

    over: str
    batch: int | None
    tolerate: int | str | None
    nodes: tuple[NodeSpec, ...]

    @staticmethod
    def read(text: str) -> "Template":
        """Return the template that :meth:`text` has written."""
        stored = json.loads(text)
        columns = stored.pop("columns")
        nodes = tuple(_read_spec(dict(zip(columns, node, strict=True))) for node in stored.pop("nodes"))
        return Template(**stored, nodes=nodes)

    def text(self) -> str:
        """Return the template as it is stored."""
        nodes = [[_plain(getattr(node, name)) for name in _COLUMNS] for node in self.nodes]
        stored: dict[str, Any] = {"over": self.over, "batch": self.batch, "tolerate": self.tolerate}
        # With the names: another version may have other columns.
        stored |= {"columns": _COLUMNS, "nodes": nodes}
        return json.dumps(stored, separators=(",", ":"))

    def with_keys(self, keys: Mapping[UUID, UUID]) -> "Template":
        """Return the template with other IDs of nodes.

        Args:
            keys: old ID -> new ID; other IDs stay as they are.
        """
        return replace(
            self, over=rebound(self.over, keys), nodes=tuple(_node_with_keys(node, keys) for node in self.nodes)
        )


def children(items: Iterable[Any], batch: int | None) -> Iterator[Any]:
    """Yield the items of each child: one item, or a list of up to ``batch`` items."""
    if batch is None:
        yield from items
        return
    iterator = iter(items)
    while some := list(islice(iterator, batch)):
        yield some


def number_of_children(items: int, batch: int | None) -> int:
    """Return how many children a map of a number of items has."""
    return items if batch is None else -(-items // batch)


class Copies:
    """The nodes of the items of a map, made from its template.

    Args:
        nodes: the nodes of the template.
        map_id: the ID of the map node, which is the parent of the copies of the first node.
    """

    def __init__(self, nodes: Sequence[NodeSpec], map_id: UUID) -> None:
        self._map_id = map_id
        self._top = nodes[0].id
        self._nodes = [
            (
                node,
                {name: getattr(node, name) for name in _COLUMNS},
                (_Argument(node, "args"), _Argument(node, "kwargs")),
            )
            for node in nodes
        ]

    def of(self, item: Any, number: int) -> Iterator[NodeSpec]:
        """Yield the nodes of one item, each parent before its children.

        Args:
            item: the item, or the list of items.
            number: its number, from 0, which becomes the position of the child.

        Raises:
            BrokenReference: an item lacks a part that an argument names, or contains a reference.
            InvalidOption: an item that is unpacked is not a list or dict.
            SerializationError: an item can't be stored.
        """
        if nested.holds(item, (Reference, Item)):
            raise BrokenReference(f"item {number:,} of the map contains a reference, which only arguments of nodes may")
        has_stand_ins = nested.holds(item, _LATE_VALUES)
        keys = {node.id: new_id() for node, *_ in self._nodes}
        for node, columns, arguments in self._nodes:
            takes_stand_ins = has_stand_ins and any(argument.takes_item for argument in arguments)
            is_top = node.id == self._top
            yield NodeSpec(
                **{
                    **columns,
                    "id": keys[node.id],
                    "parent_id": self._map_id if is_top else keys[columns["parent_id"]],
                    "position": number if is_top else node.position,
                    "args": arguments[0].of(item, number, keys),
                    "kwargs": arguments[1].of(item, number, keys),
                    "has_references": node.has_references or takes_stand_ins,
                    "stop_scope_id": keys.get(columns["stop_scope_id"], node.stop_scope_id),
                    "limit_scope_id": keys.get(columns["limit_scope_id"], node.limit_scope_id),
                    "template": _template_of(node.template, item, number, keys),
                }
            )


class _Argument:
    """The arguments, or the keyword arguments, of a node of a template."""

    def __init__(self, node: NodeSpec, name: str) -> None:
        self._name = name
        self._text: str = getattr(node, name)
        self._value = serialization.loads(self._text)
        self.takes_item = nested.holds(self._value, Item)
        # Items have no references.
        self._refers = nested.holds(self._value, Reference)
        options = serialization.loads(node.options)
        serializer = options.get("serializer") or current_app.conf.task_serializer
        self._prefer = "pickle" if serializer == "pickle" else "json"

    def of(self, item: Any, number: int, keys: Mapping[UUID, UUID]) -> str:
        """Return the stored arguments for an item.

        Args:
            item: the item.
            number: its number, from 0.
            keys: the IDs of the nodes of the template -> those of their copies.
        """
        if not self.takes_item:
            return rebound(self._text, keys)
        value = nested.replace(self._value, Item, lambda placeholder: placeholder.pick(item, number))
        if isinstance(self._value, Item) and not isinstance(value, _UNPACKED[self._name]):
            wanted = "dict" if self._name == "kwargs" else "list"
            raise InvalidOption(
                f"{self._name}={self._value!r} needs a {wanted} for each item, but item {number:,} of the map is of "
                f"type {type(value).__name__}"
            )
        if self._refers:
            value = _with_keys(value, keys)
        try:
            return serialization.write(value, "max_args_size", prefer=self._prefer)
        except SerializationError as exc:
            raise type(exc)(f"the {self._name} with item {number:,} of the map can't be stored: {exc}") from exc


def rebound(text: str, keys: Mapping[UUID, UUID]) -> str:
    """Return a stored value in which references point to other nodes; IDs that are not in ``keys`` stay."""
    if serialization.is_pickled(text):
        return serialization.dumps(_with_keys(serialization.loads(text), keys), prefer="pickle")
    if f'"{OUTPUT_TYPE}"' not in text:
        return text
    return serialization.dumps(_with_keys(serialization.loads(text), keys))


def _with_keys(value: Any, keys: Mapping[UUID, UUID]) -> Any:
    return nested.replace(
        value,
        Reference,
        lambda reference: Reference(keys.get(reference.node, reference.node), reference.kind, reference.path),
    )


def _template_of(template: str | None, item: Any, number: int, keys: Mapping[UUID, UUID]) -> str | None:
    """Return the template of a map below another one, for an item of that one."""
    if template is None:
        return None
    read = Template.read(template).with_keys(keys)
    over = serialization.loads(read.over)
    if nested.holds(over, Item):
        over = nested.replace(over, Item, lambda placeholder: placeholder.pick(item, number))
        read = replace(read, over=serialization.write(over, "max_args_size"))
    return read.text()


def _template_with_keys(template: str | None, keys: Mapping[UUID, UUID]) -> str | None:
    return None if template is None else Template.read(template).with_keys(keys).text()


def _node_with_keys(node: NodeSpec, keys: Mapping[UUID, UUID]) -> NodeSpec:
    own = {name: getattr(node, name) for name in _KEYS}
    return replace(
        node,
        **{name: keys.get(key, key) for name, key in own.items() if key is not None},
        args=rebound(node.args, keys),
        kwargs=rebound(node.kwargs, keys),
        template=_template_with_keys(node.template, keys),
    )


def _plain(value: Any) -> Any:
    return value.hex if isinstance(value, UUID) else value


def _read_spec(columns: dict[str, Any]) -> NodeSpec:
    for name in _KEYS:
        columns[name] = None if columns[name] is None else UUID(hex=columns[name])
    for name, read in _ENUMERATIONS.items():
        columns[name] = read(columns[name])
    return NodeSpec(**{name: columns[name] for name in _COLUMNS if name in columns})
