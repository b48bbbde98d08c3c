"""Pages that launch a tree."""

# ruff: noqa: ARG002  Django's signatures

import logging
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import helpers
from django.db import DEFAULT_DB_ALIAS
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from django_tasktree.admin.pages.base import AdminPage
from django_tasktree.admin.pages.launch_form import LaunchForm
from django_tasktree.admin.pages.submitted_once import launched_once, new_token, run_id_of, warn_submitted_before
from django_tasktree.admin.rendering import run_title
from django_tasktree.admin.widgets.row_choices import RowChoices, RowSelect, can_be_searched
from django_tasktree.definitions.definition import Definition
from django_tasktree.definitions.launch import prepare
from django_tasktree.definitions.parameters import Parameter
from django_tasktree.definitions.registry import all_definitions, get_definition
from django_tasktree.dispatch.launch import atomic_with_runs
from django_tasktree.encoding import times
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.exceptions import InvalidParameter, KeyInUse, UnknownDefinition
from django_tasktree.models import TreeRun

logger = logging.getLogger(__name__)


class LaunchPage(AdminPage):
    """The list of definitions."""

    route = "launch/"
    permission = "launch"
    template_name = "admin/django_tasktree/treerun/launch.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the list of definitions."""
        return self.render(self.get_context_data())

    def get_context_data(self) -> dict[str, Any]:
        """Return the context of the template."""
        return {**self.page_context(_("Launch tree")), "definitions": self.definitions()}

    def definitions(self) -> list[Definition[Any]]:
        """Return the definitions that the page offers."""
        return all_definitions()


class LaunchDefinitionPage(AdminPage):
    """The form that launches a definition."""

    route = "launch/<path:name>/"
    permission = "launch"
    template_name = "admin/django_tasktree/treerun/launch_definition.html"

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the form."""
        return self.render(self.get_context_data(self.form(name)))

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Launch the tree and redirect to the run, or show the form with errors."""
        form = self.form(name, request.POST)
        run = self.launch(form) if form.is_valid() else None
        if run is None:
            return self.render(self.get_context_data(form))
        return HttpResponseRedirect(self.address_after(run))

    def form(self, name: str, data: QueryDict | None = None) -> LaunchForm:
        """Return the form of a definition.

        Args:
            name: the name of the definition.
            data: the submitted data; None for an empty form.

        Raises:
            Http404: no definition has this name.
        """
        definition = _definition(name)
        return LaunchForm(definition, data, self._params_of(definition), partial(self._row_widget, definition))

    def get_context_data(self, form: LaunchForm) -> dict[str, Any]:
        """Return the context of the template."""
        # AdminForm expects a ModelForm, but its layout uses nothing that other forms lack.
        adminform = helpers.AdminForm(cast(Any, form), form.fieldsets, {}, model_admin=self.model_admin)
        return {
            **self.page_context(_("Launch %(name)s") % {"name": form.definition.name}),
            "definition": form.definition,
            "adminform": adminform,
            "form": form,
            "once": new_token(),
            "errors": form.errors,
            "media": self.model_admin.media + adminform.media,
        }

    def launch(self, form: LaunchForm) -> TreeRun | None:
        """Launch the tree and log that.

        Returns:
            The run; None if the launch failed: then the form has the error.
        """
        key = form.cleaned_data["key"]
        existed = key is not None and TreeRun.objects.filter(key=key).exists()
        name = form.definition.name
        run_id = run_id_of(self.request)

        def launch() -> UUID:
            # One transaction also includes rows that the definition itself writes.
            with atomic_with_runs(DEFAULT_DB_ALIAS):
                tree = prepare(name, form.params)
                eta = form.cleaned_data["eta"]
                result = tree.apply_async(key=key, launched_by=self.request.user, eta=eta, run_id=run_id)
                if not existed:
                    text = _("Launched %(name)s.") % {"name": name}
                    self.model_admin.log_addition(self.request, result.run, text)
                return result.id

        try:
            run, is_new = launched_once(run_id, launch)
        except KeyInUse:
            form.add_error("key", self._whose_key(key))
            return None
        except Exception as error:
            # Definitions are project code and may raise anything. The form shows the error, the log has the traceback.
            logger.warning("the tree %r could not be launched from the admin", name, exc_info=True)
            form.add_launch_error(error)
            return None
        if is_new:
            self._report_launch(run, existed)
        else:
            warn_submitted_before(self.request)
        return run

    def address_after(self, run: TreeRun) -> str:
        """Return the URL of the run, or of the list of definitions if the user may not see the run."""
        if self.model_admin.has_view_permission(self.request, run):
            return self.model_admin.address("change", run.pk)
        return self.model_admin.address("launch")

    def _row_widget(self, definition: Definition[Any], parameter: Parameter) -> RowSelect | None:
        site = self.model_admin.admin_site
        if not can_be_searched(parameter, site, self.request):
            return None
        return RowSelect(parameter, site, self.model_admin.address("launch_rows", definition.name, parameter.name))

    def _params_of(self, definition: Definition[Any]) -> dict[str, Any]:
        """Return the parameters of the run that ``?again=`` names, if the user may see it; otherwise an empty dict."""
        run_id = as_uuid(self.request.GET.get("again", ""))
        run = TreeRun.objects.filter(id=run_id, definition=definition.name).first() if run_id else None
        if run is None or not self.model_admin.has_view_permission(self.request, run):
            return {}
        try:
            return definition.clean_params(run.params)
        except InvalidParameter:
            # The definition has changed since then. Keep the values of parameters that still exist.
            names = {parameter.name for parameter in definition.parameters}
            return {name: value for name, value in run.params.items() if name in names}

    def _whose_key(self, key: str | None) -> str:
        """Return an error message that names the run that has a launch key, if the user may see it."""
        other = TreeRun.objects.filter(key=key).first()
        if other is None or not self.model_admin.has_view_permission(self.request, other):
            return _("This key belongs to a run that has another definition or other parameters.")
        text = _("This key belongs to the run “%(run)s”, which has another definition or other parameters.")
        return text % {"run": run_title(other)}

    def _report_launch(self, run: TreeRun, existed: bool) -> None:
        if existed:
            text = (
                _("A run with the key “%(key)s” exists, so nothing new was launched; it is “%(run)s”.")
                if self.model_admin.has_view_permission(self.request, run)
                else _("A run with the key “%(key)s” exists, so nothing new was launched.")
            )
            messages.warning(self.request, text % {"key": run.key, "run": run_title(run)})
            return
        if run.eta is not None:
            text = _("“%(run)s” will be launched at %(time)s; until then it is a draft.")
            due = date_format(times.local(run.eta), "SHORT_DATETIME_FORMAT")
            messages.success(self.request, text % {"run": run_title(run), "time": due})
            return
        messages.success(self.request, _("Launched “%(run)s”.") % {"run": run_title(run)})


class LaunchRowsPage(AdminPage):
    """Search for rows that a parameter can select; returns JSON."""

    route = "launch/<path:name>/rows/<str:parameter>/"
    permission = "launch"

    def get(self, request: HttpRequest, name: str, parameter: str) -> HttpResponse:
        """Return the rows that the model's own admin finds.

        Raises:
            Http404: there is no such parameter, or the user may not search its rows.
        """
        site = self.model_admin.admin_site
        found = [each for each in _definition(name).parameters if each.name == parameter]
        if not found or found[0].model is None or not can_be_searched(found[0], site, request):
            raise Http404(f"{name}: {parameter}")
        view: Any = RowChoices.as_view(admin_site=site, parameter=found[0])
        answer: HttpResponse = view(request)
        return answer


def _definition(name: str) -> Definition[Any]:
    try:
        return get_definition(name)
    except UnknownDefinition as error:
        raise Http404(str(error)) from error
