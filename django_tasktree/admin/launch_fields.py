"""Parameters of definitions as form fields."""

# ruff: noqa: ARG001  the makers share one signature

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.admin import widgets
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.formats import sanitize_separators
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin.split_date_time import SplitDateTime
from django_tasktree.exceptions import InvalidParameter
from django_tasktree.parameters import Parameter
from django_tasktree.text import readable_json

#: Of tables with more rows one is looked up, or named by its primary key: a list of all would be of no use.
_MOST_ROWS = 500


class TextField(forms.CharField):
    """A value that the parameter itself reads from text, as on the command line."""

    def __init__(self, parameter: Parameter, **options: Any) -> None:
        options.setdefault("widget", widgets.AdminTextInputWidget)
        super().__init__(**options)
        self.parameter = parameter

    def clean(self, value: Any) -> Any:
        """Read the value.

        Raises:
            ValidationError: it does not fit.
        """
        text = super().clean(value)
        if not text and self.parameter.optional:
            return None
        try:
            return self.parameter.parse(text)
        except InvalidParameter as error:
            raise ValidationError(error.errors[self.parameter.name]) from error

    def prepare_value(self, value: Any) -> Any:
        """Write a default as text that can be read again; what the user typed stays."""
        if value is None or isinstance(value, str):
            return value
        return _as_text(self.parameter.to_json(value))


class NumberField(TextField):
    """A number, written with the decimal separator of the language or with a point; NaN and infinity are none."""

    def clean(self, value: Any) -> Any:
        """Read the value.

        Raises:
            ValidationError: it does not fit.
        """
        number = super().clean(sanitize_separators(value))
        if number is not None and not _is_finite(number) and number != self.parameter.default:
            raise ValidationError(forms.FloatField.default_error_messages["invalid"], code="invalid")
        return number


def _is_finite(number: float | Decimal) -> bool:
    return number.is_finite() if isinstance(number, Decimal) else math.isfinite(number)


def field_for(parameter: Parameter, row_widget: Callable[[Parameter], Any] | None = None) -> forms.Field:
    """Make the form field of a parameter.

    Args:
        parameter: the parameter.
        row_widget: gives the box in which rows of a large table are looked up; None where they can't be.
    """
    options: dict[str, Any] = {
        "label": parameter.name.replace("_", " ").capitalize(),
        "required": _needs_value(parameter),
        "help_text": _HELP.get(parameter.kind, ""),
    }
    if not parameter.required:
        options["initial"] = parameter.default
    if parameter.kind == "model":
        return _row(parameter, options, row_widget)
    return _MAKERS.get(parameter.kind, _text)(parameter, options)


def _needs_value(parameter: Parameter) -> bool:
    """Whether the box may not stay empty; an empty text or list is a value only where the default can be that too."""
    if parameter.optional:
        return False
    return parameter.required or parameter.kind not in ("text", "list")


def _as_text(value: Any) -> str:
    """Write JSON as text: lists with commas, where no item needs more than that."""
    if not isinstance(value, list):
        return str(value)
    items = [str(item) for item in value]
    if any(
        item is None or "," in text or text != text.strip() or not text for item, text in zip(value, items, strict=True)
    ):
        return readable_json(value)
    joined = ", ".join(items)
    return readable_json(value) if joined.startswith("[") else joined


def _text(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    return TextField(parameter, **options)


def _plain_text(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    empty = None if parameter.optional else ""
    return forms.CharField(widget=widgets.AdminTextInputWidget, empty_value=empty, **options)


def _number(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    attrs = {"inputmode": "decimal", "class": "vIntegerField"}
    return NumberField(parameter, widget=forms.TextInput(attrs=attrs), **options)


def _int(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    return forms.IntegerField(widget=widgets.AdminIntegerFieldWidget, **options)


def _bool(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    if parameter.optional:
        return forms.NullBooleanField(**options)
    # A box that is not ticked says False.
    return forms.BooleanField(**{**options, "required": False})


def _date(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    return forms.DateField(widget=widgets.AdminDateWidget, **options)


def _datetime(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    return forms.SplitDateTimeField(widget=SplitDateTime, **options)


def _choice(parameter: Parameter, options: dict[str, Any]) -> forms.Field:
    values = {_choice_key(choice): choice for choice in parameter.choices}
    labels = [(key, getattr(choice, "label", None) or key.strip('"')) for key, choice in values.items()]
    if parameter.optional or parameter.required:
        labels.insert(0, ("", "---------"))
    if options.get("initial") is not None:
        options["initial"] = _choice_key(options["initial"])
    return forms.TypedChoiceField(choices=labels, coerce=values.__getitem__, empty_value=None, **options)


def _choice_key(choice: Any) -> str:
    """Name a choice; 1 and "1" may both be choices of a Literal."""
    name: str | None = getattr(choice, "name", None)
    return name or readable_json(choice)


def _row(parameter: Parameter, options: dict[str, Any], row_widget: Any) -> forms.Field:
    model: type[Model] | None = parameter.model
    assert model is not None, "parameters of kind 'model' have one"
    rows = model._default_manager.all()
    if rows.order_by()[: _MOST_ROWS + 1].count() > _MOST_ROWS:
        found = row_widget(parameter) if row_widget is not None else None
        key = {"widget": widgets.AdminTextInputWidget, "help_text": _("The primary key.")}
        options.update(key if found is None else {"widget": found})
    return forms.ModelChoiceField(rows, **options)


_HELP = {
    "list": _("Separate values by commas, or give a JSON array."),
    "path": _("A path on the server."),
}
_MAKERS: dict[str, Callable[[Parameter, dict[str, Any]], forms.Field]] = {
    "text": _plain_text,
    "int": _int,
    "float": _number,
    "decimal": _number,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "enum": _choice,
    "literal": _choice,
}
