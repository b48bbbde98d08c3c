"""The base of the admins of runs and nodes: read-only, as only the engine writes rows; fast with millions of them."""

# ruff: noqa: ARG002  Django's signatures

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models.constants import LOOKUP_SEP
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.pages.base import AdminPage, RowPage, takes
from django_tasktree.control.actions import ANSWER
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.reporting.static_files import STYLES

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
    Pages = Paginator[Any]
else:
    # Django's own classes take no type argument at run time.
    Admin = admin.ModelAdmin
    Pages = Paginator

Page = TypeVar("Page", bound=AdminPage)

#: The maximum number of rows that a list counts and pages through, because deep offsets are slow.
MAX_LISTED = 10_000
#: The modules of the model admins of this app, whose pages link to each other.
_OWN = frozenset({"django_tasktree.admin.runs", "django_tasktree.admin.nodes"})
#: Exceptions of databases and their drivers for values that no row can have.
_UNFIT = (ValueError, OverflowError, DataError)


class BoundedPaginator(Pages):
    """Paginator of the first ``MAX_LISTED`` rows, which also limits the count to them."""

    @cached_property
    def count(self) -> int:
        """The number of rows that the pages contain."""
        return min(self._counted, MAX_LISTED)

    @property
    def is_cut(self) -> bool:
        """Whether there are more rows than the pages contain."""
        return self._counted > MAX_LISTED

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MAX_LISTED + 1].count())


class CheckedList(ChangeList):
    """List that treats values which the calendar or database can't look up like other invalid parameters in Django."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters that the address names.

        Raises:
            IncorrectLookupParameters: a date is invalid, or out of the calendar's range.
        """
        try:
            return super().get_filters(request)
        except (OverflowError, ValueError) as exc:
            raise IncorrectLookupParameters(exc) from exc

    def get_results(self, request: HttpRequest) -> None:
        """Load the rows of the page.

        Raises:
            IncorrectLookupParameters: the database can't look up a value.
        """
        try:
            super().get_results(request)
        except _UNFIT as exc:
            raise IncorrectLookupParameters(exc) from exc


class ReadOnlyAdmin(Admin):
    """Read-only admin for tables that may be very large.

    Attributes:
        pages: the pages in addition to Django's own, by name. The name of a page's URL ends with this name, as in
            ``django_tasktree_treerun_launch``. The page ``change`` provides the context of Django's own view of a row.
    """

    pages: ClassVar[Mapping[str, type[AdminPage]]] = {}
    list_per_page = 50
    # No "Show all": it would load far too many rows.
    list_max_show_all = 0
    show_full_result_count = False
    paginator = BoundedPaginator

    class Media:
        """The style sheets of all pages."""

        css = {"all": STYLES}

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs: those of ``pages`` before those of single rows, which match any path."""
        self._check_pages()
        return [*(self._url(name, page) for name, page in self.pages.items() if page.route), *super().get_urls()]

    def _check_pages(self) -> None:
        """Check that ``pages`` has all pages of this app, and pages only.

        Raises:
            ImproperlyConfigured: a page is missing, or not a page, or has no route or an unknown permission, or the
                hook of its permission can't be called.
        """
        where = f"{type(self).__qualname__}.pages"
        if not isinstance(self.pages, Mapping):
            raise ImproperlyConfigured(f"{where} is {self.pages!r}: it must be a dict of page classes by name")
        # Other pages link to them.
        own = [cls for cls in type(self).__mro__ if cls.__module__ in _OWN]
        required = {name for cls in own for name in vars(cls).get("pages", ())}
        missing = sorted(required - self.pages.keys())
        if missing:
            raise ImproperlyConfigured(
                f"{where} has no page {missing[0]!r}, to which other pages link: extend the dict of the base class, "
                "and to withhold a page from users, override the hook of its permission"
            )
        for name, page in self.pages.items():
            if not (isinstance(page, type) and issubclass(page, AdminPage)):
                raise ImproperlyConfigured(f'{where}["{name}"] is {page!r}: it must be a subclass of AdminPage')
            if not isinstance(getattr(page, "route", None), str):
                raise ImproperlyConfigured(
                    f'{where}["{name}"], {page.__qualname__}, has no route: set it to the address of the page, '
                    "relative to that of the list"
                )
            hook = getattr(self, f"has_{page.permission}_permission", None)
            if hook is None:
                raise ImproperlyConfigured(
                    f'{where}["{name}"], {page.__qualname__}, has the permission {page.permission!r}, but '
                    f"{type(self).__qualname__} has no hook has_{page.permission}_permission(request, row)"
                )
            if not callable(hook) or not (takes(hook, 1) or takes(hook, 2)):
                raise ImproperlyConfigured(
                    f'{where}["{name}"], {page.__qualname__}, has the permission {page.permission!r}, but '
                    f"{type(self).__qualname__}.has_{page.permission}_permission can't be called with a request and a "
                    "row, or with a request"
                )

    def _url(self, name: str, page: type[AdminPage]) -> URLPattern:
        view = self.admin_site.admin_view(page.as_view(model_admin=self), cacheable=page.is_cacheable)
        return path(page.route, view, name=f"{self.opts.app_label}_{self.opts.model_name}_{name}")

    def address(self, name: str, *args: Any) -> str:
        """Return the URL path of a page on this admin site.

        Args:
            name: a key of ``pages``, or the name of one of Django's views, such as ``"changelist"``.
            *args: the arguments of the view.
        """
        return page_address(self.admin_site.name, f"{self.opts.model_name}_{name}", *args)

    def page(self, name: str, kind: type[Page], request: HttpRequest, row: Any = None) -> Page:
        """Return an instance of a page that another page uses.

        Args:
            name: its name in ``pages``.
            kind: the class that it must be, or derive from.
            request: the request of the other page.
            row: the row that it shows; None if it shows rows in general.

        Raises:
            ImproperlyConfigured: ``pages[name]`` does not exist or is not such a class.
        """
        found = self.pages.get(name)
        if found is None or not issubclass(found, kind):
            wanted = f"{kind.__module__}.{kind.__qualname__}"
            text = f'{type(self).__qualname__}.pages["{name}"] is {found}: it must be {wanted} or a subclass'
            raise ImproperlyConfigured(text)
        page = found(model_admin=self)
        page.setup(request)
        page.row = row
        return page

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Render the page of a row with the context of the page ``change``.

        Raises:
            PermissionDenied: there is no row, so the page would add one.
        """
        row = kwargs.get("obj")
        if row is None:
            raise PermissionDenied
        context.update(self.page("change", RowPage, request, row).get_context_data())
        return super().render_change_form(request, context, *args, **kwargs)

    def title_of(self, row: Any) -> str:
        """Return the title of a row."""
        raise NotImplementedError

    def titles_of(self, rows: Iterable[Any]) -> dict[Any, str]:
        """Return the titles of several rows by their primary keys, in a constant number of queries."""
        return {row.pk: self.title_of(row) for row in rows}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CheckedList]:
        """Return the class of the list, which checks the values that are looked up."""
        return CheckedList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse regular expressions: no filter uses them, their syntax depends on the database, and they are slow."""
        is_pattern = lookup.rpartition(LOOKUP_SEP)[2] in ("regex", "iregex")
        return not is_pattern and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only launches create rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: only the engine changes rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False; subclasses may allow it."""
        return False

    def has_control_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may control this row, or any row if ``obj`` is None. A hook, like Django's own."""
        return request.user.has_perm("django_tasktree.control_treerun")

    def has_answer_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may complete this wait node, or any if ``obj`` is None. A hook, like Django's own."""
        return request.user.has_perm(ANSWER)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Redirect to the page of the row, which shows its history."""
        return HttpResponseRedirect(f"{self.address('change', self.key_of(object_id))}#history")

    def key_of(self, text: str) -> UUID:
        """Return the ID of a row that a URL names.

        Args:
            text: the ID, quoted as in the URLs of Django's admin.

        Raises:
            Http404: it is not a UUID.
        """
        key = as_uuid(unquote(text))
        if key is None:
            raise Http404(f"{self.opts.verbose_name} {text!r}")
        return key

    def response_action(self, request: HttpRequest, queryset: Any, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Run the action of the list, after a check that all selected IDs are UUIDs.

        Raises:
            BadRequest: a selected ID is not a UUID.
        """
        chosen = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
        if not all(map(as_uuid, chosen)):
            raise BadRequest(f"{helpers.ACTION_CHECKBOX_NAME}: not the ID of a {self.opts.verbose_name}")
        answer: HttpResponse | None = super().response_action(request, queryset, *args, **kwargs)
        return answer
