"""Validate the payload that ends a wait node: with its form, or with the parameters of a function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.forms import BaseForm

from django_tasktree.definitions.given_parameters import read_parameters
from django_tasktree.definitions.parameters import Parameter
from django_tasktree.definitions.parameters.signature import parameters_of_payload
from django_tasktree.definitions.payload_types import read_types
from django_tasktree.encoding.loading import find_in_app
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter


@dataclass(frozen=True, slots=True)
class CleanedPayload:
    """A payload that a form has validated already, for ``complete``.

    Attributes:
        value: the cleaned data.
    """

    value: Any


def check_parameters(function: Callable[..., Any], event: str) -> None:
    """Check that the parameters of a function can describe a payload.

    Raises:
        InvalidDefinition: a parameter has a type that is not supported, or a default that does not fit.
    """
    parameters_of_payload(function, event)


def parameters_for(spec: WaitSpec) -> tuple[Parameter, ...]:
    """Return the parameters of the payload; empty if the wait has none.

    Raises:
        InvalidParameter: the function or a type does not exist any more, or its signature is not valid any more.
    """
    if spec.types is not None:
        return read_types(spec.types, spec.event)
    if not spec.params:
        return ()
    function = _find(spec, spec.params)
    if not callable(function):
        raise InvalidParameter(
            f"{spec.params}, which describes the payload of {spec.event!r}, is not a function any more"
        )
    try:
        return parameters_of_payload(function, spec.event)
    except InvalidDefinition as exc:
        raise InvalidParameter(f"the payload of {spec.event!r} can't be validated: {exc}") from exc


def form_class_of(spec: WaitSpec) -> type[BaseForm] | None:
    """Return the class of the form of the payload; None if the wait has none.

    Raises:
        InvalidParameter: the class does not exist any more.
    """
    if not spec.form:
        return None
    found = _find(spec, spec.form)
    if not (isinstance(found, type) and issubclass(found, BaseForm)):
        raise InvalidParameter(f"{spec.form}, which validates the payload of {spec.event!r}, is not a form any more")
    return found


def clean_payload(spec: WaitSpec, payload: Any) -> Any:
    """Return the output of a wait node for a payload.

    It is the cleaned data of its form, the values of its parameters, or the payload itself.

    Args:
        spec: what the node waits for.
        payload: the payload.

    Raises:
        InvalidParameter: the payload does not fit; the error names all faults.
    """
    if isinstance(payload, CleanedPayload):
        return payload.value
    if spec.form:
        return _cleaned_by_form(spec, payload)
    if spec.has_parameters:
        parameters = parameters_for(spec)
        values = read_parameters(spec.event, parameters, payload, Parameter.clean, "event")
        return {parameter.name: parameter.to_json(values[parameter.name]) for parameter in parameters}
    return payload


def read_texts(spec: WaitSpec, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the payload that the texts of a command line describe; without parameters, the texts themselves.

    Raises:
        InvalidParameter: a text does not fit the type of its parameter; other faults are left to
            :func:`clean_payload`.
    """
    known = {parameter.name: parameter for parameter in parameters_for(spec)}
    return {
        name: known[name].to_json(known[name].parse(text)) if name in known else text for name, text in texts.items()
    }


def _cleaned_by_form(spec: WaitSpec, payload: Any) -> dict[str, Any]:
    form_class = form_class_of(spec)
    if not isinstance(payload, Mapping):
        raise InvalidParameter(f"the payload of {spec.event!r} must be a dict of the values of {spec.form}")
    form: Any = form_class(data=dict(payload)) if form_class is not None else None
    # A prefix is for pages.
    form.prefix = None
    # A widget of several inputs takes several values.
    parts = {
        f"{name}{part}" for name, field in form.fields.items() for part in getattr(field.widget, "widgets_names", ())
    }
    unknown = sorted(str(name) for name in payload.keys() - form.fields.keys() - parts)
    if unknown:
        fields = ", ".join(form.fields)
        raise InvalidParameter(
            f"the payload of {spec.event!r} has {unknown[0]!r}, but the fields of {spec.form} are {fields}",
            {unknown[0]: f"no such field: the fields are {fields}"},
        )
    if not form.is_valid():
        faults = {name: " ".join(map(str, errors)) for name, errors in form.errors.items()}
        named = "; ".join(f"{name}: {text}" if name in form.fields else text for name, text in faults.items())
        raise InvalidParameter(f"the payload of {spec.event!r} is not valid: {named}", faults)
    return dict(form.cleaned_data)


def _find(spec: WaitSpec, path: str) -> Any:
    """Return what a dotted path in a row names. Only modules of installed apps are imported for it."""
    found = find_in_app(path)
    if found is None:
        raise InvalidParameter(
            f"{path}, which validates the payload of {spec.event!r}, can't be found: define it there again, in a "
            "module of an app in INSTALLED_APPS, or launch a new run"
        )
    return found
