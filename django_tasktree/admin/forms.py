"""The form that launches a definition."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.admin import widgets
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin.launch_fields import field_for
from django_tasktree.admin.split_date_time import SplitDateTime
from django_tasktree.models import TreeRun
from django_tasktree.parameter_errors import show_reasons
from django_tasktree.registry import Definition

#: Before the names of parameters, so that one may be called "key".
_PREFIX = "param-"


class LaunchForm(forms.Form):
    """A field for each parameter of a definition, and the key and the time of the launch.

    Args:
        definition: the definition.
        data: what the user has sent.
        params: parameters that are filled in at first.
        row_widget: see :func:`django_tasktree.admin.launch_fields.field_for`.
    """

    key = forms.CharField(
        label=_("Key"),
        required=False,
        empty_value=None,
        max_length=TreeRun._meta.get_field("key").max_length,
        widget=widgets.AdminTextInputWidget,
        help_text=_("Optional. Launching the same key again does nothing new: it gives the run that exists."),
    )

    eta = forms.SplitDateTimeField(
        label=_("Launch at"),
        required=False,
        widget=SplitDateTime,
        help_text=_("Optional. Until then the run is a draft."),
    )

    def __init__(
        self,
        definition: Definition[Any],
        data: Any = None,
        params: Mapping[str, Any] | None = None,
        row_widget: Any = None,
    ) -> None:
        super().__init__(data, initial={f"{_PREFIX}{name}": value for name, value in (params or {}).items()})
        self.definition = definition
        fields = {f"{_PREFIX}{each.name}": field_for(each, row_widget) for each in definition.parameters}
        self.fields = {**fields, "key": self.fields["key"], "eta": self.fields["eta"]}

    @property
    def params(self) -> dict[str, Any]:
        """The parameters, once the form is valid."""
        return {
            parameter.name: self.cleaned_data[f"{_PREFIX}{parameter.name}"] for parameter in self.definition.parameters
        }

    @property
    def fieldsets(self) -> list[tuple[Any, dict[str, Any]]]:
        """How the admin lays the fields out."""
        names = [name for name in self.fields if name.startswith(_PREFIX)]
        parameters = [(_("Parameters"), {"fields": names})] if names else []
        return [*parameters, (_("Launch"), {"fields": ["key", "eta"]})]

    def add_launch_error(self, error: Exception) -> None:
        """Show why the definition could not be launched, beside the parameters at fault where these are known."""
        if not show_reasons(self, error, _PREFIX):
            self.add_error(None, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
