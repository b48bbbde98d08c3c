"""What is stored, and sent, in the place of model instances, paths and members of enumerations.

JSON can't hold these. A stand-in names the value; the worker that starts a node puts the value in its place again, and
so do handles that give a result.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, Flag
from pathlib import Path, PurePath
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import CompositePrimaryKey, Model
from kombu.utils import json

from django_tasktree.exceptions import RowNotFound, SerializationError
from django_tasktree.loading import find_module
from django_tasktree.nested import find_all, holds, replace
from django_tasktree.text import type_name

#: What stand-ins are stored for.
STOOD_FOR = (Model, PurePath, Enum)


@dataclass(frozen=True)
class RowStandIn:
    """A row of a model, which is fetched anew.

    Attributes:
        model: the label of the model, as ``app.Model``.
        pk: the primary key.
        database: the alias of the row's database.
    """

    model: str
    pk: Any
    database: str

    def __str__(self) -> str:
        """Name the row."""
        return f"{self.model} {self.pk}"

    __repr__ = __str__


@dataclass(frozen=True)
class PathStandIn:
    """A ``pathlib.Path``."""

    path: str

    def __str__(self) -> str:
        """Return the path."""
        return self.path

    __repr__ = __str__


@dataclass(frozen=True)
class EnumStandIn:
    """A member of an enumeration, by its name; combined flags by their value.

    Attributes:
        module: where the class is.
        kind: its name there.
        member: the member's name, or the value of flags.
    """

    module: str
    kind: str
    member: str | int

    def __str__(self) -> str:
        """Name the member."""
        return f"{self.kind}.{self.member}"

    __repr__ = __str__


#: All of them.
STAND_INS = (RowStandIn, PathStandIn, EnumStandIn)

_KINDS: dict[str, Callable[[Any], Any]] = {
    "tasktree-row": lambda content: RowStandIn(*content),
    "tasktree-path": PathStandIn,
    "tasktree-enum": lambda content: EnumStandIn(*content),
}

json.register_type(RowStandIn, "tasktree-row", lambda row: [row.model, row.pk, row.database], _KINDS["tasktree-row"])
json.register_type(PathStandIn, "tasktree-path", lambda path: path.path, PathStandIn)
json.register_type(
    EnumStandIn, "tasktree-enum", lambda enum: [enum.module, enum.kind, enum.member], _KINDS["tasktree-enum"]
)


def put_in(value: Any, kinds: tuple[type, ...] = STOOD_FOR) -> Any:
    """Put stand-ins in the places of values, also inside lists, tuples and dicts.

    Args:
        value: anything; it is not changed.
        kinds: what stand-ins are put in for.

    Raises:
        SerializationError: a row has no primary key yet, or an enumeration can't be found by its name.
    """
    return replace(value, kinds, _stand_in) if holds(value, kinds) else value


def take_out(value: Any) -> Any:
    """Put the values in the places of their stand-ins; rows of one model are fetched together.

    Raises:
        RowNotFound: a row does not exist.
        SerializationError: an enumeration, or a member of it, is not known here.
    """
    if not holds(value, STAND_INS):
        return value
    rows = _fetch(find_all(value, RowStandIn))
    return replace(value, STAND_INS, lambda stand_in: _value(stand_in, rows))


def are_in(text: str) -> bool:
    """Return whether a stored JSON text may hold stand-ins, without reading it."""
    return '"tasktree-' in text


def plain(value: Any) -> Any:
    """Write a value for Celery's own backend: a row as its primary key, a path as text, a member as its value."""
    return replace(value, STOOD_FOR, _plain) if holds(value, STOOD_FOR) else value


def stand_in_text(kind: Any, content: Any) -> str | None:
    """Show a stand-in as it is stored, for a page or a terminal; None where it is none.

    Args:
        kind: the type that is written beside it.
        content: what is written there.
    """
    try:
        return str(_KINDS[kind](content)) if kind in _KINDS else None
    except TypeError:
        return None


def _stand_in(value: Any) -> Any:
    if isinstance(value, Model):
        return _of_row(value)
    if isinstance(value, PurePath):
        return PathStandIn(str(value))
    return _of_member(value)


def _of_row(row: Model) -> RowStandIn:
    label = row._meta.label
    if row.pk is None or row._state.adding:
        raise SerializationError(f"this {label} is not saved, so the worker could not find it: save it first")
    if isinstance(row._meta.pk, CompositePrimaryKey):
        raise SerializationError(f"{label} has a composite primary key: pass the values of the key, and fetch the row")
    return RowStandIn(label, row.pk, row._state.db or "default")


def _of_member(member: Enum) -> Any:
    kind = type(member)
    if _class(kind.__module__, kind.__qualname__) is kind:
        is_flags = isinstance(member, Flag)
        return EnumStandIn(kind.__module__, kind.__qualname__, member.value if is_flags else member.name)
    if isinstance(member, (str, int)):
        # Text or a number to JSON, too.
        return member.value
    raise SerializationError(
        f"{type_name(kind)} can't be found by its name: define it at the top of a module, or pass {member.name}.value"
    )


def _class(module: str, name: str) -> Any:
    found = find_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Enum) else None


def _fetch(wanted: Iterable[RowStandIn]) -> dict[RowStandIn, Model]:
    keys: dict[tuple[str, str], dict[Any, RowStandIn]] = defaultdict(dict)
    for stand_in in wanted:
        keys[stand_in.model, stand_in.database][stand_in.pk] = stand_in
    return {
        stand_ins[pk]: row
        for (label, database), stand_ins in keys.items()
        for pk, row in _rows(label, database, list(stand_ins)).items()
    }


def _rows(label: str, database: str, keys: list[Any]) -> dict[Any, Model]:
    try:
        model = apps.get_model(label)
    except LookupError as exc:
        raise RowNotFound(f"no model is installed as {label}, of which a row was passed on") from exc
    if database not in connections:
        raise RowNotFound(f"a row of {label} is in the database {database!r}, which DATABASES does not have here")
    return dict(model._base_manager.using(database).in_bulk(keys))


def _value(stand_in: Any, rows: dict[RowStandIn, Model]) -> Any:
    if isinstance(stand_in, PathStandIn):
        return Path(stand_in.path)
    if isinstance(stand_in, EnumStandIn):
        return _member(stand_in)
    if stand_in not in rows:
        raise RowNotFound(
            f"no {stand_in.model} has the primary key {stand_in.pk!r} in database {stand_in.database!r} (any more): "
            "it was passed on as an argument or a result"
        )
    return rows[stand_in]


def _member(stand_in: EnumStandIn) -> Enum:
    kind = _class(stand_in.module, stand_in.kind)
    if kind is None:
        raise SerializationError(f"{stand_in.module} has no enumeration {stand_in.kind}, or is not imported here")
    try:
        found: Enum = kind(stand_in.member) if issubclass(kind, Flag) else kind[str(stand_in.member)]
    except (KeyError, ValueError) as exc:
        raise SerializationError(f"{stand_in.module}.{stand_in.kind} has no member {stand_in.member!r}") from exc
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, PurePath):
        return str(value)
    # Members that are texts or numbers, too, are JSON as they are.
    return value if isinstance(value, (str, int)) else value.value
