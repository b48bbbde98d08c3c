"""What a verb asks for before it acts."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from django_tasktree.verbs import Verb


class ControlForm(forms.Form):
    """The options of a verb; many have none.

    Args:
        verb: the verb.
        *args: as of any form.
        **kwargs: as of any form.
    """

    def __init__(self, verb: Verb, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in verb.options:
            self.fields[name] = _FIELDS[name]()


def _terminate() -> forms.Field:
    return forms.BooleanField(
        label=_("Also stop tasks that are running"),
        required=False,
        help_text=_("Through Celery, by a signal to the process. Only workers with the prefork pool can do it."),
    )


def _result() -> forms.Field:
    return forms.JSONField(
        label=_("Result"),
        required=False,
        initial=None,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField tasktree-json", "spellcheck": "false"}),
        help_text=_("The result that the node should have had, as JSON. What follows it may take it from there."),
    )


_FIELDS = {"terminate": _terminate, "result": _result}
