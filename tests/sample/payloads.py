"""Forms and signatures that validate the payloads of wait nodes in tests."""

from datetime import date
from typing import Literal

from django import forms
from django.contrib.auth import get_user_model


class ApprovalForm(forms.Form):
    """A form with a required and an optional field."""

    by = forms.IntegerField(min_value=1)
    note = forms.CharField(required=False)

    def clean_note(self):
        """Refuse one word."""
        if self.cleaned_data["note"] == "no":
            raise forms.ValidationError("Say more.")
        return self.cleaned_data["note"]


def decision(by: int, verdict: Literal["yes", "no"] = "yes", day: date | None = None):
    """Define the parameters of a payload."""
    raise NotImplementedError


def unsupported(by: set):
    """Have a parameter of a type that is not supported."""
    raise NotImplementedError


class BrokenForm(forms.Form):
    """A form whose validation raises an unexpected error."""

    def clean(self):
        """Raise an error that is not about the payload."""
        raise ZeroDivisionError


class LetterForm(forms.Form):
    """A form with a file, a prefix, a field of two inputs, and one with the name of a field of the admin's page."""

    prefix = "letter"
    confirmed = forms.BooleanField(required=False)
    text = forms.FileField(required=False)
    at = forms.SplitDateTimeField(required=False)

    def clean_text(self):
        """Return the content of the file, which can be stored, unlike the file."""
        return self.cleaned_data["text"] and self.cleaned_data["text"].read().decode()


class UserForm(forms.Form):
    """A form whose cleaned data can't be stored if there are users: a QuerySet."""

    users = forms.ModelMultipleChoiceField(get_user_model().objects, required=False)
