"""The form that launches a definition."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.admin import widgets
from django.utils.translation import gettext_lazy as _

from django_tasktree.admin.pages.launch_fields import field_for
from django_tasktree.admin.widgets.split_date_time import SplitDateTime
from django_tasktree.definitions.definition import Definition
from django_tasktree.definitions.form_errors import show_reasons
from django_tasktree.encoding import times
from django_tasktree.models import TreeRun

#: The prefix of the fields of parameters, so that a parameter may have the name "key".
_PREFIX = "param-"


class LaunchForm(forms.Form):
    """The form of a definition: a field for each parameter, the launch key and the start time.

    Args:
        definition: the definition.
        data: the submitted data.
        params: initial values of parameters.
        row_widget: see :func:`django_tasktree.admin.pages.launch_fields.field_for`.
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

    def clean_eta(self) -> Any:
        """Return the start time.

        Raises:
            ValidationError: in one of the time zones, the time is out of the calendar's range.
        """
        eta = self.cleaned_data["eta"]
        if eta is not None and not times.fits_everywhere(eta):
            raise forms.ValidationError(_("This time is out of the calendar's range."))
        return eta

    @property
    def params(self) -> dict[str, Any]:
        """The values of the parameters; the form must be valid."""
        return {
            parameter.name: self.cleaned_data[f"{_PREFIX}{parameter.name}"] for parameter in self.definition.parameters
        }

    @property
    def fieldsets(self) -> list[tuple[Any, dict[str, Any]]]:
        """The fields in the format of ``ModelAdmin.fieldsets``."""
        names = [name for name in self.fields if name.startswith(_PREFIX)]
        parameters = [(_("Parameters"), {"fields": names})] if names else []
        return [*parameters, (_("Launch"), {"fields": ["key", "eta"]})]

    def add_launch_error(self, error: Exception) -> None:
        """Add the error of a failed launch to the form, to the fields of the parameters if the error names them."""
        if not show_reasons(self, error, _PREFIX):
            self.add_error(None, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
