"""Base classes for pages of a model admin in addition to Django's own."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib.admin import AdminSite
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.views.generic import View

if TYPE_CHECKING:
    from django_tasktree.admin.base import ReadOnlyAdmin


class AdminPage(View):
    """A page of a model admin, as a class-based view.

    ``pages`` of the model admin gives each page its name. A project can replace a page by a subclass.

    Attributes:
        route: the page's URL pattern, relative to the URL of the list.
        permission: the permission that the page requires; the model admin's hook ``has_<permission>_permission``
            checks it. The hook gets the request, and the row if it takes one.
        template_name: the template, which :meth:`render` needs.
        is_cacheable: whether browsers may store the response, to validate it by its ETag.
        model_admin: the model admin to which the page belongs.
        row: the row whose primary key is in the URL as ``key``; None if the page shows rows in general.
    """

    route: ClassVar[str]
    permission: ClassVar[str] = "view"
    template_name: ClassVar[str]
    is_cacheable: ClassVar[bool] = False
    # as_view() accepts only arguments that are attributes of the class.
    model_admin: "ReadOnlyAdmin" = None  # type: ignore[assignment]
    row: Any = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Store the request, and make URLs resolve to the same admin site."""
        super().setup(request, *args, **kwargs)
        request.current_app = self.model_admin.admin_site.name

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Load the row and check the permission, then call the method for the request."""
        if "key" in kwargs:
            self.row = self.find_row(kwargs["key"])
        self.check_permission()
        return super().dispatch(request, *args, **kwargs)

    def find_row(self, key: Any) -> Any:
        """Return a row that the user may see.

        Args:
            key: its primary key, or the text of it.

        Raises:
            Http404: there is no such row.
            PermissionDenied: the user may not see it.
        """
        if not isinstance(key, UUID):
            key = self.model_admin.key_of(str(key))
        row = self.model_admin.get_queryset(self.request).filter(pk=key).first()
        if row is None:
            raise Http404(f"no {self.model_admin.opts.verbose_name} {key}")
        if not self.model_admin.has_view_permission(self.request, row):
            raise PermissionDenied
        return row

    def check_permission(self) -> None:
        """Check the permission that the page requires.

        Raises:
            PermissionDenied: the user may not see this page.
        """
        hook = getattr(self.model_admin, f"has_{self.permission}_permission")
        # Hooks for rows in general, such as Django's has_add_permission, take no row.
        of_row = (self.row,) if takes(hook, 2) else ()
        if not hook(self.request, *of_row):
            raise PermissionDenied

    def page_context(self, title: str) -> dict[str, Any]:
        """Return the context that all pages share.

        Args:
            title: the title of the page; Django's breadcrumbs end with it.
        """
        admin = self.model_admin
        shared = admin.admin_site.each_context(self.request)
        return {
            **shared,
            "may_see_app": any(app["app_label"] == admin.opts.app_label for app in shared["available_apps"]),
            "title": title,
            "original": title,
            "opts": admin.opts,
            "media": admin.media,
            "has_view_permission": admin.has_view_permission(self.request),
        }

    def render(self, context: dict[str, Any]) -> TemplateResponse:
        """Return the page's template as a response.

        Raises:
            ImproperlyConfigured: the page has no template.
        """
        if not getattr(self, "template_name", None):
            name = f"{type(self).__module__}.{type(self).__qualname__}"
            raise ImproperlyConfigured(f"{name} has no template_name, which render() needs")
        return TemplateResponse(self.request, self.template_name, context)


class RowPage(AdminPage):
    """The context of the page of a row. Django's own view, at its own URL, renders it; so this has no route."""

    route = ""

    def get_context_data(self) -> dict[str, Any]:
        """Return the context of the template."""
        raise NotImplementedError


def takes(hook: Callable[..., Any], number: int) -> bool:
    """Return whether a permission hook can be called with this number of positional arguments."""
    try:
        inspect.signature(hook).bind(*[None] * number)
    except TypeError:
        return False
    return True


def may_view(site: AdminSite, request: HttpRequest, model: type[Model], row: Any = None) -> bool:
    """Return whether a user may see the page of a row, so that a link to it works.

    Args:
        site: the admin site. The result is False if the model is not registered on it.
        request: the request of the user.
        model: the model of the row.
        row: the row; None for any row.
    """
    return site.is_registered(model) and site.get_model_admin(model).has_view_permission(request, row)
