"""Read parameters from the signature of a function."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, NoReturn, Union

from django.db.models import CompositePrimaryKey, Model

from django_tasktree.definitions.parameters.parameter import OwnerKind, Parameter
from django_tasktree.definitions.parameters.scalars import SCALAR_KINDS
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter

_SUPPORTED = (
    "str, int, float, bool, Decimal, date, datetime, UUID, Path, an Enum, a Literal of texts and whole numbers, "
    "a Django model with a primary key of one column, list[…] of one of these, or one of these with | None"
)


def parameters_of(function: Callable[..., Any], definition_name: str) -> tuple[Parameter, ...]:
    """Return the parameters in the signature of a function.

    Args:
        function: the function that builds the tree; its parameters are passed by keyword.
        definition_name: the name of the definition, for messages.

    Raises:
        InvalidDefinition: a parameter can't be passed by keyword, its type is not supported or can't be resolved, or
            its default does not fit.
    """
    place = f"{function.__module__}.{function.__qualname__}, which defines {definition_name!r}"
    names = getattr(inspect.unwrap(function), "__globals__", {})
    reader = _Signature(place, names, definition_name, "definition")
    return tuple(reader.parameter(parameter) for parameter in inspect.signature(function).parameters.values())


def parameters_of_payload(function: Callable[..., Any], event: str) -> tuple[Parameter, ...]:
    """Return the parameters of the payload of an event, in the signature of a function that describes it.

    Args:
        function: the function.
        event: the name of the event, for messages.

    Raises:
        InvalidDefinition: see :func:`parameters_of`.
    """
    place = f"{function.__module__}.{function.__qualname__}, which describes the payload of {event!r}"
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return parameters_of_signature(inspect.signature(function), place, event, names)


def parameters_of_signature(
    signature: inspect.Signature, place: str, event: str, names: Mapping[str, Any] | None = None
) -> tuple[Parameter, ...]:
    """Return the parameters of the payload of an event, in a signature.

    Args:
        signature: the signature.
        place: describes where it is, for messages.
        event: the name of the event, for messages.
        names: what names in annotations mean.

    Raises:
        InvalidDefinition: see :func:`parameters_of`.
    """
    reader = _Signature(place, names or {}, event, "event")
    return tuple(reader.parameter(parameter) for parameter in signature.parameters.values())


@dataclass(frozen=True)
class _Signature:
    """Convert the parameters in a signature.

    Attributes:
        place: describes where it is, for messages.
        names: what names in annotations mean.
        owner: the name of the definition or event.
        owner_kind: which of the two it is.
    """

    place: str
    names: Mapping[str, Any]
    owner: str
    owner_kind: OwnerKind

    def parameter(self, source: inspect.Parameter) -> Parameter:
        """Return one parameter; InvalidDefinition: it can't be used."""
        self._check_passing(source)
        annotation, optional = _without_none(self._annotation(source))
        parameter = self._typed(source.name, annotation)
        if parameter is None:
            self.refuse(source.name, f"the type {_type_name(annotation)} is not supported; use {_SUPPORTED}")
        required = source.default is source.empty
        default = None if required else source.default
        optional = optional or (not required and default is None)
        parameter = replace(parameter, optional=optional, required=required, default=default)
        self._check_default(parameter)
        return parameter

    def refuse(self, name: str, reason: str, cause: Exception | None = None) -> NoReturn:
        """Raise InvalidDefinition with the name of the parameter and its place."""
        raise InvalidDefinition(f"parameter {name!r} of {self.place}: {reason}") from cause

    def _check_passing(self, source: inspect.Parameter) -> None:
        if source.kind in (source.VAR_POSITIONAL, source.VAR_KEYWORD):
            self.refuse(str(source), "replace it by named parameters, so that a form can show them")
        if source.kind is source.POSITIONAL_ONLY:
            self.refuse(source.name, "parameters are passed by name: remove the / after it")

    def _annotation(self, source: inspect.Parameter) -> Any:
        """Return one resolved annotation; the other annotations may use names that only type checkers import."""
        if source.annotation is source.empty:
            return str
        alone = SimpleNamespace(__annotations__={source.name: source.annotation})
        try:
            return typing.get_type_hints(alone, dict(self.names))[source.name]
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            remedy = "name a type that its module imports outside `if TYPE_CHECKING:`"
            self.refuse(source.name, f"its type {source.annotation!r} can't be resolved ({error}): {remedy}", error)

    def _typed(self, name: str, annotation: Any) -> Parameter | None:
        """Return a parameter of this type; None if the type is not supported."""
        plain = Parameter(name, annotation, "text", self.owner, self.owner_kind)
        origin = typing.get_origin(annotation)
        if origin is Literal:
            return _literal_parameter(plain)
        if origin is list:
            return self._list_parameter(plain)
        if not isinstance(annotation, type) or origin is not None:
            return None
        return _class_parameter(plain)

    def _list_parameter(self, plain: Parameter) -> Parameter | None:
        annotation, optional = _without_none(next(iter(typing.get_args(plain.annotation)), None))
        item = self._typed(plain.name, annotation)
        if item is None or item.kind == "list":
            return None
        return replace(plain, kind="list", item=replace(item, optional=optional))

    def _check_default(self, parameter: Parameter) -> None:
        """Refuse an unfit default at startup, not at launch. Rows are not checked, as that would query the database."""
        if parameter.required or parameter.names_rows:
            return
        try:
            parameter.clean(parameter.default)
        except InvalidParameter as error:
            reason = f"its default does not fit its annotation: {error.errors[parameter.name]}; change one of them"
            self.refuse(parameter.name, reason, error)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether it had None."""
    args = typing.get_args(annotation)
    others = tuple(arg for arg in args if arg not in (None, NoneType))
    if len(others) == len(args) or not others:
        return annotation, False
    if typing.get_origin(annotation) is Literal:
        return Literal[others], True
    if typing.get_origin(annotation) in (Union, UnionType):
        return _without_none(Union[others])[0], True  # noqa: UP007 - its members are known only at run time
    return annotation, False


def _literal_parameter(plain: Parameter) -> Parameter | None:
    choices = typing.get_args(plain.annotation)
    if not all(type(choice) in (str, int) for choice in choices):
        return None
    return replace(plain, kind="literal", choices=choices)


def _class_parameter(plain: Parameter) -> Parameter | None:
    cls = plain.annotation
    if cls in SCALAR_KINDS:
        return replace(plain, kind=SCALAR_KINDS[cls])
    if issubclass(cls, Enum) and len(cls):
        return replace(plain, kind="enum", choices=tuple(cls))
    if _names_one_row(cls):
        return replace(plain, kind="model", model=cls)
    return None


def _names_one_row(cls: type) -> bool:
    """Return whether a class is a model whose primary key is one JSON value."""
    return issubclass(cls, Model) and not (cls._meta.abstract or isinstance(cls._meta.pk, CompositePrimaryKey))


def _type_name(annotation: Any) -> str:
    return annotation.__qualname__ if type(annotation) is type else str(annotation)
