"""Autocomplete widget and view for parameters that select a row of a large table, based on Django's admin.

Django's widget requires a foreign key, and a parameter is not one. Therefore the widget gets a foreign key that belongs
to no model, and the view gets the model to search.
"""

from typing import Any

from django.contrib.admin.sites import AdminSite
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.widgets import AutocompleteSelect
from django.db import models
from django.http import HttpRequest

from django_tasktree.definitions.parameters import Parameter
from django_tasktree.models import TreeRun


class RowSelect(AutocompleteSelect):
    """Select box with autocompletion.

    Args:
        parameter: the parameter, whose model has an admin with search fields.
        site: the admin site.
        url: the URL of the view :class:`RowChoices`.
    """

    def __init__(self, parameter: Parameter, site: AdminSite, url: str) -> None:
        super().__init__(_foreign_key(parameter), site)
        self._url = url

    def get_url(self) -> str:
        """Return the URL that the box queries."""
        return self._url


class RowChoices(AutocompleteJsonView):
    """View for the widget: returns the rows that the model's own admin finds and that the user may see.

    Attributes:
        parameter: the parameter whose value is selected.
    """

    parameter: Any = None

    def process_request(self, request: HttpRequest) -> tuple[str, Any, Any, str]:
        """Return the search term, the admin to search, the foreign key, and the column of the model's primary key."""
        model: Any = self.parameter.model
        site: Any = self.admin_site
        admin = site.get_model_admin(model)
        return request.GET.get("term", ""), admin, _foreign_key(self.parameter), model._meta.pk.attname


def can_be_searched(parameter: Parameter, site: AdminSite, request: HttpRequest) -> bool:
    """Return whether the user may search the rows of the parameter's model in the admin."""
    model: Any = parameter.model
    if not site.is_registered(model):
        return False
    admin = site.get_model_admin(model)
    return bool(admin.get_search_fields(request)) and admin.has_view_permission(request)


def _foreign_key(parameter: Parameter) -> Any:
    model: Any = parameter.model
    field: Any = models.ForeignKey(model, on_delete=models.CASCADE)
    field.set_attributes_from_name(parameter.name)
    field.model = TreeRun
    field.remote_field.field_name = model._meta.pk.name
    return field
