"""Form fields for the parameters of definitions."""

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

from django_tasktree.admin.widgets.split_date_time import SplitDateTime
from django_tasktree.definitions.parameters import Parameter
from django_tasktree.encoding.text import readable_json
from django_tasktree.exceptions import InvalidParameter

#: Tables with more rows get a search box, or a box for the primary key, instead of a list of all rows.
MAX_ROWS = 500


class TextField(forms.CharField):
    """A text that the parameter itself parses, as on the command line."""

    def __init__(self, parameter: Parameter, **options: Any) -> None:
        options.setdefault("widget", widgets.AdminTextInputWidget)
        super().__init__(**options)
        self.parameter = parameter

    def clean(self, value: Any) -> Any:
        """Return the value of the text; None if the text is empty and the parameter optional.

        Raises:
            ValidationError: the value is invalid.
        """
        text = super().clean(value)
        if not text and self.parameter.optional:
            return None
        found = self.read(text)
        if not _is_finite(found) and not self._is_default(found):
            raise ValidationError(_("A number must be finite: neither NaN nor infinity."))
        return found

    def read(self, text: str) -> Any:
        """Return the value that a text represents.

        Raises:
            ValidationError: the text is invalid.
        """
        try:
            return self.parameter.parse(text)
        except InvalidParameter as error:
            raise ValidationError(error.errors[self.parameter.name]) from error

    def _is_default(self, value: Any) -> bool:
        """Return whether a value is the default of the definition. NaN never equals itself, so the JSON is compared."""
        if self.parameter.required:
            return False
        return bool(self.parameter.to_json(value) == self.parameter.to_json(self.parameter.default))

    def prepare_value(self, value: Any) -> Any:
        """Return a default as text that can be parsed again; text that the user typed stays as it is."""
        if value is None or isinstance(value, str):
            return value
        return _as_text(self.parameter.to_json(value))


class NumberField(TextField):
    """A number with the separators of the language, like Django's localized fields, or with a decimal point."""

    def read(self, text: str) -> Any:
        """Return the number that a text represents.

        Raises:
            ValidationError: the text is not a number.
        """
        try:
            return self.parameter.parse(sanitize_separators(text))
        except InvalidParameter as error:
            raise ValidationError(_NO_NUMBER[self.parameter.kind] % {"text": text}) from error


_NO_NUMBER = {
    "float": _("'%(text)s' is not a number"),
    "decimal": _("'%(text)s' is not a decimal number"),
}


def _is_finite(value: Any) -> bool:
    """Return whether a value neither is nor contains NaN or infinity."""
    if isinstance(value, list):
        return all(map(_is_finite, value))
    if isinstance(value, Decimal):
        return value.is_finite()
    return not isinstance(value, float) or math.isfinite(value)


def field_for(parameter: Parameter, row_widget: Callable[[Parameter], Any] | None = None) -> forms.Field:
    """Return the form field of a parameter.

    Args:
        parameter: the parameter.
        row_widget: returns the search box for rows of a large table; None if the user can't search them.
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
    """Return whether the box must not be empty; an empty text or list is a value if the parameter has a default."""
    if parameter.optional:
        return False
    return parameter.required or parameter.kind not in ("text", "list")


def _as_text(value: Any) -> str:
    """Return a JSON value as text: a list with commas, or as JSON if commas would be ambiguous."""
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
    # A box that is not ticked means False.
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
    """Return a unique text for a choice, because 1 and "1" may both be choices of a Literal."""
    name: str | None = getattr(choice, "name", None)
    return name or readable_json(choice)


def _row(parameter: Parameter, options: dict[str, Any], row_widget: Any) -> forms.Field:
    model: type[Model] | None = parameter.model
    assert model is not None, "parameters of kind 'model' have one"
    rows = model._default_manager.all()
    if rows.order_by()[: MAX_ROWS + 1].count() > MAX_ROWS:
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
