"""A date and a time, each with a name that a screen reader tells: Django's own widget has none before 6.0."""

from typing import Any

from django.contrib.admin import widgets
from django.utils.translation import gettext_lazy as _


class SplitDateTime(widgets.AdminSplitDateTime):
    """The admin's widget, with labels."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for widget, label in zip(self.widgets, (_("Date"), _("Time")), strict=True):
            widget.attrs["aria-label"] = label
