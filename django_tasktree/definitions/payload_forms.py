"""The form of the payload of a wait node: its own form, or one with a field for each of its parameters."""

from collections.abc import Callable
from typing import Any

from django import forms

from django_tasktree.definitions.parameters import Parameter
from django_tasktree.definitions.payloads import form_class_of, parameters_for
from django_tasktree.encoding.text import readable_json
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import InvalidParameter


def payload_form(
    spec: WaitSpec, data: Any = None, files: Any = None, prefix: str | None = None
) -> forms.BaseForm | None:
    """Return the form of a payload; None if the wait node has neither a form nor parameters.

    Args:
        spec: what the node waits for.
        data: the submitted data; None for an empty form.
        files: the submitted files.
        prefix: precedes the names of the fields on the page, so that they differ from the page's own; None: that of the
            form.

    Raises:
        InvalidParameter: the form or the function does not exist any more.
    """
    form_class = form_class_of(spec)
    form: forms.BaseForm
    if form_class is not None:
        form = form_class(data=data, files=files) if files else form_class(data=data)
    elif spec.has_parameters:
        form = ParameterForm(parameters_for(spec), data)
    else:
        return None
    if prefix is not None:
        # Not an argument: the form of a project may not take it.
        form.prefix = prefix
    return form


class ParameterForm(forms.Form):
    """A form with a field for each parameter.

    Args:
        parameters: the parameters.
        data: the submitted data; None for an empty form.
    """

    def __init__(self, parameters: tuple[Parameter, ...], data: Any = None) -> None:
        super().__init__(data)
        self.parameters = parameters
        for parameter in parameters:
            self.fields[parameter.name] = _MAKERS.get(parameter.kind, _text)(parameter, _options(parameter))

    def clean(self) -> dict[str, Any]:
        """Return the values as JSON can hold them."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        known = [parameter for parameter in self.parameters if parameter.name in values]
        return {parameter.name: parameter.to_json(values[parameter.name]) for parameter in known}


class _ParsedField(forms.CharField):
    """A text that the parameter itself parses, as on the command line."""

    def __init__(self, parameter: Parameter, **options: Any) -> None:
        super().__init__(**options)
        self.parameter = parameter

    def clean(self, value: Any) -> Any:
        """Return the value of the text.

        Raises:
            ValidationError: the text does not fit.
        """
        text = super().clean(value)
        if not text and self.parameter.optional:
            return None
        try:
            return self.parameter.parse(text)
        except InvalidParameter as error:
            raise forms.ValidationError(error.errors[self.parameter.name]) from error

    def prepare_value(self, value: Any) -> Any:
        """Return a default as text."""
        if value is None or isinstance(value, str):
            return value
        stored = self.parameter.to_json(value)
        return stored if isinstance(stored, str) else readable_json(stored)


def _options(parameter: Parameter) -> dict[str, Any]:
    # An empty text or list is a value if the parameter has a default.
    may_be_empty = parameter.optional or (not parameter.required and parameter.kind in ("text", "list"))
    options: dict[str, Any] = {"label": parameter.name.replace("_", " ").capitalize(), "required": not may_be_empty}
    return options if parameter.required else {**options, "initial": parameter.default}


def _text(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    return _ParsedField(parameter, **options)


def _date(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    return _ParsedField(parameter, widget=forms.TextInput(attrs={"type": "date"}), **options)


def _bool(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    if parameter.optional:
        return forms.NullBooleanField(**options)
    # A box that is not ticked means False.
    return forms.BooleanField(**{**options, "required": False})


def _choice(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    values = {_key(choice): choice for choice in parameter.choices}
    labels = [(key, getattr(choice, "label", None) or key.strip('"')) for key, choice in values.items()]
    if parameter.optional or parameter.required:
        labels.insert(0, ("", "---------"))
    if options.get("initial") is not None:
        options["initial"] = _key(options["initial"])
    return forms.TypedChoiceField(choices=labels, coerce=values.__getitem__, empty_value=None, **options)


def _key(choice: Any) -> str:
    """Return a unique text for a choice, because 1 and "1" may both be choices of a Literal."""
    name: str | None = getattr(choice, "name", None)
    return name or readable_json(choice)


_MAKERS: dict[str, Callable[[Parameter, dict[str, Any]], forms.Field]] = {
    "bool": _bool,
    "date": _date,
    "enum": _choice,
    "literal": _choice,
}
