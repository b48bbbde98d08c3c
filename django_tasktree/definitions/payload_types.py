"""The parameters of a payload that are given as a dict of types, and how they are stored."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from types import GenericAlias
from typing import Any, Literal

from django.apps import apps

from django_tasktree.definitions.parameters import Parameter
from django_tasktree.definitions.parameters.scalars import SCALARS
from django_tasktree.definitions.parameters.signature import parameters_of_signature
from django_tasktree.encoding.loading import find_in_app
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter

_EMPTY = inspect.Parameter.empty


def stored_types(types: Mapping[str, Any], event: str) -> dict[str, Any]:
    """Return the parameters of a payload as they are stored: JSON, from which any process can read them.

    Args:
        types: name -> type, or a pair of the type and a default.
        event: the name of the event, for messages.

    Raises:
        InvalidDefinition: a name is not an identifier, a type is not supported or can't be imported by other processes,
            or a default does not fit.
    """
    return {parameter.name: _stored(parameter, event) for parameter in _parameters(types, event)}


def read_types(stored: Mapping[str, Any], event: str) -> tuple[Parameter, ...]:
    """Return the parameters that :func:`stored_types` has described.

    Args:
        stored: their stored form.
        event: the name of the event, for messages.

    Raises:
        InvalidParameter: a type does not exist any more, or a default does not fit it any more.
    """
    try:
        required = _parameters({name: _read_type(each["type"]) for name, each in stored.items()}, event)
    except (InvalidDefinition, LookupError) as exc:
        raise InvalidParameter(f"the payload of {event!r} can't be validated: {exc}") from exc
    return tuple(
        replace(each, required=False, default=each.clean(stored[each.name]["default"]))
        if "default" in stored[each.name]
        else each
        for each in required
    )


def _parameters(types: Mapping[str, Any], event: str) -> tuple[Parameter, ...]:
    place = f"the params of event {event!r}"
    try:
        signature = inspect.Signature([_declared(name, given, place) for name, given in types.items()])
    except (TypeError, ValueError) as exc:
        raise InvalidDefinition(f"{place}: {exc}; give identifiers as names") from exc
    return parameters_of_signature(signature, place, event)


def _declared(name: str, given: Any, place: str) -> inspect.Parameter:
    annotation, default = given, _EMPTY
    if isinstance(given, tuple):
        if len(given) != 2:
            raise InvalidDefinition(f"parameter {name!r} of {place}: give a type, or a pair of a type and a default")
        annotation, default = given
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _stored(parameter: Parameter, event: str) -> dict[str, Any]:
    if parameter.model is not None and parameter.default is not None:
        raise InvalidDefinition(
            f"parameter {parameter.name!r} of the params of event {event!r}: a row can't be a default; give None"
        )
    kind = _stored_type(parameter, event)
    return {"type": kind} if parameter.required else {"type": kind, "default": parameter.to_json(parameter.default)}


def _stored_type(parameter: Parameter, event: str) -> Any:
    kind: Any = parameter.kind
    if parameter.item is not None:
        kind = {"list": _stored_type(parameter.item, event)}
    elif parameter.model is not None:
        kind = {"model": parameter.model._meta.label}
    elif parameter.kind == "enum":
        kind = {"enum": _path_of(parameter, event)}
    elif parameter.choices:
        kind = {"literal": list(parameter.choices)}
    return {"none": kind} if parameter.optional else kind


def _path_of(parameter: Parameter, event: str) -> str:
    kind = parameter.annotation
    path = f"{kind.__module__}.{kind.__qualname__}"
    if find_in_app(path) is not kind:
        raise InvalidDefinition(
            f"parameter {parameter.name!r} of the params of event {event!r}: other processes can't import {path}; "
            "define it at the top level of a module"
        )
    return path


def _read_type(stored: Any) -> Any:
    """Return a type; LookupError if it does not exist any more."""
    if not isinstance(stored, dict):
        return SCALARS[stored].types[0]
    ((kind, of),) = stored.items()
    if kind == "none":
        return _read_type(of) | None
    if kind == "list":
        return GenericAlias(list, (_read_type(of),))
    if kind == "literal":
        return Literal[tuple(of)]
    if kind == "model":
        return apps.get_model(of)
    found = find_in_app(of)
    if found is None:
        raise LookupError(f"{of} can't be found any more")
    return found
