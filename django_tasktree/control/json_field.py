"""A form field for JSON."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding.strict_json import read_json


class JsonField(forms.CharField):
    """A value typed as JSON. Django's own field accepts NaN, and does not catch all errors of Python's parser."""

    #: The exceptions that :meth:`read` raises for invalid texts.
    unreadable: tuple[type[Exception], ...] = (ValueError,)

    def clean(self, value: Any) -> Any:
        """Return the value of a text; None for an empty text.

        Raises:
            ValidationError: the text is not valid JSON.
        """
        text = super().clean(value)
        if not text:
            return None
        try:
            return self.read(text)
        except self.unreadable as error:
            raise forms.ValidationError(_("This is not valid JSON: %(reason)s") % {"reason": error}) from error

    def read(self, text: str) -> Any:
        """Return the value of a text that is not empty."""
        return read_json(text)
