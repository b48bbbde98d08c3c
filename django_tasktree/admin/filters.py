"""Filters of the lists. None of them reads a whole table to find its choices."""

# ruff: noqa: ARG002  Django's signatures

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_tasktree.definitions.registry import all_definitions
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.encoding.text import is_storable
from django_tasktree.models import TreeRun

#: The value for "none": no definition and no user; names of definitions are never empty.
_NONE = ""
#: The number of newest runs whose launchers are offered as choices.
_NEWEST = 500


class DefinitionFilter(admin.SimpleListFilter):
    """Filter by registered definition."""

    title = _("definition")
    parameter_name = "definition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the registered definitions, and a choice for runs without a definition."""
        names = [(definition.name, definition.name) for definition in all_definitions()]
        return [*names, (_NONE, _("none (launched from code)"))] if names else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the runs of the current choice."""
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(definition=value) if is_storable(value) else queryset.none()


class SubRunFilter(admin.SimpleListFilter):
    """Filter by whether a node of another run has started a run."""

    title = _("sub-run")
    parameter_name = "sub_run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices."""
        return [("no", _("no")), ("yes", _("yes"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the runs of the current choice."""
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(parent_run_id__isnull=self.value() == "no")


class LauncherFilter(admin.SimpleListFilter):
    """Filter by launcher: offers the users who launched one of the newest runs."""

    title = _("launched by")
    parameter_name = "launched_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the users who launched one of the newest runs, the selected user, and a choice for "no user"."""
        newest = TreeRun.objects.order_by("-created_at", "-id").values_list("launched_by_id", flat=True)[:_NEWEST]
        chosen = _key_of_user(request.GET.get(self.parameter_name, ""))
        keys = {key for key in (*newest, chosen) if key is not None}
        users = get_user_model()._default_manager.filter(pk__in=keys)
        return [
            *((str(user.pk), str(user)) for user in sorted(users, key=str)),
            (_NONE, _("nobody: code or a schedule")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the runs of the current choice."""
        value = self.value()
        if value is None:
            return queryset
        if value == _NONE:
            return queryset.filter(launched_by=None)
        key = _key_of_user(value)
        if key is None:
            raise IncorrectLookupParameters(f"{value!r} is not the ID of a user")
        return queryset.filter(launched_by=key)


def _key_of_user(text: str) -> Any:
    """Return the ID of a user that a URL names; None if the text is not a valid ID."""
    field: Any = get_user_model()._meta.pk
    try:
        key = field.to_python(text)
        # The number may be too large for the column.
        field.run_validators(key)
    except ValidationError:
        return None
    return key


class RunFilter(admin.SimpleListFilter):
    """Filter by run. The page of a run links here; other runs are not offered, because there may be very many."""

    title = _("run")
    parameter_name = "run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the selected run as the only choice."""
        value = self.value()
        if value is None:
            return []
        run_id = as_uuid(value)
        run = TreeRun.objects.filter(id=run_id).only("name").first() if run_id else None
        # Without choices Django drops the filter, and the list shows the nodes of all runs.
        return [(value, str(run or value))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the nodes of the selected run."""
        value = self.value()
        if value is None:
            return queryset
        run_id = as_uuid(value)
        if run_id is None:
            raise IncorrectLookupParameters(f"{value!r} is not the ID of a run")
        return queryset.filter(run_id=run_id)
