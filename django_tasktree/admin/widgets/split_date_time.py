"""Widget for a date and a time with labels for screen readers, which Django's widget lacks before version 6.0."""

from typing import Any

from django.contrib.admin import widgets
from django.utils.translation import gettext_lazy as _


class SplitDateTime(widgets.AdminSplitDateTime):
    """Widget of Django's admin with a label for each part."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for widget, label in zip(self.widgets, (_("Date"), _("Time")), strict=True):
            widget.attrs["aria-label"] = label
