"""Boxes that look rows of a large table up while one types, for parameters that name a row: those of Django's admin.

Django's own are made for foreign keys. A parameter is none, so the widget is given one that no model has, and the view
is told which model to search.
"""

from typing import Any

from django.contrib.admin.sites import AdminSite
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.widgets import AutocompleteSelect
from django.db import models
from django.http import HttpRequest

from django_tasktree.models import TreeRun
from django_tasktree.parameters import Parameter


class RowSelect(AutocompleteSelect):
    """The box.

    Args:
        parameter: its model has an admin that can be searched.
        site: the admin site.
        url: where the rows are looked up.
    """

    def __init__(self, parameter: Parameter, site: AdminSite, url: str) -> None:
        super().__init__(_foreign_key(parameter), site)
        self._url = url

    def get_url(self) -> str:
        """Where the rows are looked up."""
        return self._url


class RowChoices(AutocompleteJsonView):
    """Answers it, with what the model's own admin finds and lets the user see.

    Attributes:
        parameter: what is to be chosen.
    """

    parameter: Any = None

    def process_request(self, request: HttpRequest) -> tuple[str, Any, Any, str]:
        """Tell what is searched."""
        model: Any = self.parameter.model
        site: Any = self.admin_site
        admin = site.get_model_admin(model)
        return request.GET.get("term", ""), admin, _foreign_key(self.parameter), model._meta.pk.attname


def can_be_searched(parameter: Parameter, site: AdminSite, request: HttpRequest) -> bool:
    """Tell whether the user may look the rows up in the admin."""
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
