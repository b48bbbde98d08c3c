"""Stand-ins: what is stored and sent instead of model instances, paths and members of enumerations.

JSON can't hold these. A stand-in identifies the value. The worker that runs a node replaces the stand-ins in its
arguments with the values; handles do so with those in a result.
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

from django_tasktree.encoding.loading import find_module
from django_tasktree.encoding.nested import find_all, holds, replace
from django_tasktree.encoding.text import type_name
from django_tasktree.exceptions import RowNotFound, SerializationError

#: The types whose values are replaced with stand-ins.
STOOD_FOR = (Model, PurePath, Enum)


@dataclass(frozen=True)
class RowStandIn:
    """The stand-in of a model instance, which is fetched again when it is needed.

    Attributes:
        model: the label of the model, as ``app.Model``.
        pk: the primary key.
        database: the alias of the row's database.
    """

    model: str
    pk: Any
    database: str

    def __str__(self) -> str:
        """Return the label of the model and the primary key."""
        return f"{self.model} {self.pk}"

    __repr__ = __str__


@dataclass(frozen=True)
class PathStandIn:
    """The stand-in of a ``pathlib.Path``."""

    path: str

    def __str__(self) -> str:
        """Return the path."""
        return self.path

    __repr__ = __str__


@dataclass(frozen=True)
class EnumStandIn:
    """The stand-in of a member of an enumeration, or of flags.

    Attributes:
        module: the module of the class.
        kind: the qualified name of the class.
        member: the name of the member; the value of flags.
    """

    module: str
    kind: str
    member: str | int

    def __str__(self) -> str:
        """Return the names of the class and the member."""
        return f"{self.kind}.{self.member}"

    __repr__ = __str__


#: The types of stand-ins.
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
    """Return a value with stand-ins instead of model instances, paths and members, also in nested lists and dicts.

    Args:
        value: any value; it is not changed.
        kinds: the types to replace.

    Raises:
        SerializationError: if a row is not saved or has a composite key, or an enumeration can't be found by its name.
    """
    return replace(value, kinds, _stand_in) if holds(value, kinds) else value


def take_out(value: Any) -> Any:
    """Return a value with the values of its stand-ins; the rows of a model are fetched with one query.

    Args:
        value: any value; it is not changed.

    Raises:
        RowNotFound: if a row, its model or its database does not exist.
        SerializationError: if an enumeration or one of its members is unknown here.
    """
    if not holds(value, STAND_INS):
        return value
    rows = _fetch(find_all(value, RowStandIn))
    return replace(value, STAND_INS, lambda stand_in: _value(stand_in, rows))


def are_in(text: str) -> bool:
    """Return whether a stored JSON text may contain stand-ins, without parsing it."""
    return '"tasktree-' in text


def plain(value: Any) -> Any:
    """Return a value for Celery's result backend: with primary keys for rows, texts for paths, values for members."""
    return replace(value, STOOD_FOR, _plain) if holds(value, STOOD_FOR) else value


def stand_in_text(kind: Any, content: Any) -> str | None:
    """Return the text of a stored stand-in, for a page or a terminal, without loading its value.

    Args:
        kind: the stored type, ``__type__``.
        content: the stored content, ``__value__``.

    Returns:
        None if it is not a stand-in.
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
    # A lazy object has the attributes of its row, but another type.
    refuse_composite(row._meta.model)
    return RowStandIn(label, row.pk, row._state.db or "default")


def refuse_composite(model: type[Model]) -> None:
    """Raise SerializationError if the rows of a model have a composite primary key."""
    if isinstance(model._meta.pk, CompositePrimaryKey):
        label = model._meta.label
        raise SerializationError(f"{label} has a composite primary key: pass the values of the key, and fetch the row")


def _of_member(member: Enum) -> Any:
    kind = type(member)
    if _class(kind.__module__, kind.__qualname__) is kind:
        is_flags = isinstance(member, Flag)
        return EnumStandIn(kind.__module__, kind.__qualname__, member.value if is_flags else member.name)
    if isinstance(member, (str, int)):
        # JSON can hold it as a text or a number.
        return member.value
    raise SerializationError(
        f"{type_name(kind)} can't be found by its name: define it at the top of a module, or pass {member.name}.value"
    )


def _class(module: str, name: str) -> Any:
    kind = find_module(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    return kind if isinstance(kind, type) and issubclass(kind, Enum) else None


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
        member: Enum = kind(stand_in.member) if issubclass(kind, Flag) else kind[str(stand_in.member)]
    except (KeyError, ValueError) as exc:
        raise SerializationError(f"{stand_in.module}.{stand_in.kind} has no member {stand_in.member!r}") from exc
    return member


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, PurePath):
        return str(value)
    # JSON can hold members that are texts or numbers.
    return value if isinstance(value, (str, int)) else value.value
