"""Filters of the lists; none of them looks through a whole table for its choices."""

# ruff: noqa: ARG002  Django's signatures

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_tasktree.identifiers import as_uuid
from django_tasktree.models import TreeRun
from django_tasktree.registry import all_definitions
from django_tasktree.text import is_storable

#: Stands for runs that no definition made; no definition can have this name, since names are not empty.
_NONE = ""
#: So many runs are looked at for who launched them.
_NEWEST = 500


class DefinitionFilter(admin.SimpleListFilter):
    """Runs of one registered definition."""

    title = _("definition")
    parameter_name = "definition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """List the registered definitions, and runs without one."""
        names = [(definition.name, definition.name) for definition in all_definitions()]
        return [*names, (_NONE, _("none (launched from code)"))] if names else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Choose the runs."""
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(definition=value) if is_storable(value) else queryset.none()


class LauncherFilter(admin.SimpleListFilter):
    """Runs that somebody launched: those are offered who launched one of the newest runs."""

    title = _("launched by")
    parameter_name = "launched_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """List who launched something lately, and the one who is chosen."""
        newest = TreeRun.objects.order_by("-created_at", "-id").values_list("launched_by_id", flat=True)[:_NEWEST]
        chosen = _key_of_user(request.GET.get(self.parameter_name, ""))
        keys = {key for key in (*newest, chosen) if key is not None}
        users = get_user_model()._default_manager.filter(pk__in=keys)
        return [
            *((str(user.pk), str(user)) for user in sorted(users, key=str)),
            (_NONE, _("nobody: code or a schedule")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Choose the runs."""
        value = self.value()
        if value is None:
            return queryset
        if value == _NONE:
            return queryset.filter(launched_by=None)
        key = _key_of_user(value)
        if key is None:
            raise IncorrectLookupParameters(f"{value!r} is not the key of a user")
        return queryset.filter(launched_by=key)


def _key_of_user(text: str) -> Any:
    """Read the key of a user from an address; None where it can't be one."""
    field: Any = get_user_model()._meta.pk
    try:
        key = field.to_python(text)
        # A number may be larger than the column.
        field.run_validators(key)
    except ValidationError:
        return None
    return key


class RunFilter(admin.SimpleListFilter):
    """Nodes of one run: the page of a run links here; other runs are not offered, as there may be very many."""

    title = _("run")
    parameter_name = "run"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the chosen run only."""
        # self.value() is not there yet.
        value = request.GET.get(self.parameter_name)
        if value is None:
            return []
        run_id = as_uuid(value)
        run = TreeRun.objects.filter(id=run_id).only("name").first() if run_id else None
        # Without a choice the filter would be dropped, and the nodes of all runs listed.
        return [(value, str(run or value))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Choose the nodes."""
        value = self.value()
        if value is None:
            return queryset
        run_id = as_uuid(value)
        if run_id is None:
            raise IncorrectLookupParameters(f"{value!r} is not the key of a run")
        return queryset.filter(run_id=run_id)
