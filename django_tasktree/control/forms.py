"""The forms for the options of actions."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from django_tasktree.control.actions import ActionType
from django_tasktree.control.json_field import JsonField


class ControlForm(forms.Form):
    """A form for the options of an action. For most actions it has no fields.

    Args:
        action: the action.
        *args: passed to ``django.forms.Form``.
        **kwargs: passed to ``django.forms.Form``.
    """

    def __init__(self, action: ActionType, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in action.options:
            self.fields[name] = _FIELDS[name]()


def _terminate() -> forms.Field:
    return forms.BooleanField(
        label=_("Also stop tasks that are running"),
        required=False,
        help_text=_("Celery sends a signal to their processes. Only workers with the prefork pool support this."),
    )


def _result() -> forms.Field:
    return JsonField(
        label=_("Result"),
        required=False,
        initial="null",
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField tasktree-json", "spellcheck": "false"}),
        help_text=_("The result of the node, as JSON. Nodes that depend on it can use it."),
    )


_FIELDS = {"terminate": _terminate, "result": _result}
