"""The pages that launch a tree."""

import logging
from functools import partial
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db import DEFAULT_DB_ALIAS
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from django_tasktree import times
from django_tasktree.admin.forms import LaunchForm
from django_tasktree.admin.page_context import page_context
from django_tasktree.admin.read_only import Admin
from django_tasktree.admin.rendering import run_title
from django_tasktree.admin.row_choices import RowChoices, RowSelect, can_be_searched
from django_tasktree.atomicity import atomic_with_runs
from django_tasktree.exceptions import InvalidParameter, KeyInUse, UnknownDefinition
from django_tasktree.identifiers import as_uuid
from django_tasktree.launching import prepare
from django_tasktree.models import TreeRun
from django_tasktree.parameters import Parameter
from django_tasktree.registry import Definition, all_definitions, get_definition

logger = logging.getLogger(__name__)


class LaunchPages(Admin):
    """Adds the pages to the admin of runs."""

    def has_launch_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's manner
        """Tell whether the user may launch trees; a hook, like Django's own."""
        return request.user.has_perm("django_tasktree.launch_treerun")

    def get_urls(self) -> list[URLPattern]:
        """Put the pages before those of single runs, which take any path."""
        wrap = self.admin_site.admin_view
        name = "django_tasktree_treerun_launch"
        return [
            path("launch/", wrap(self.launch_view), name=name),
            path("launch/<path:name>/rows/<str:parameter>/", wrap(self.launch_rows_view), name=f"{name}_rows"),
            path("launch/<path:name>/", wrap(self.launch_definition_view), name=f"{name}_definition"),
            *super().get_urls(),
        ]

    def launch_view(self, request: HttpRequest) -> HttpResponse:
        """List the definitions."""
        context = self._launch_context(request, _("Launch tree"))
        context["definitions"] = all_definitions()
        return TemplateResponse(request, "admin/django_tasktree/treerun/launch.html", context)

    def launch_definition_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the form of a definition, and launch it."""
        context = self._launch_context(request, _("Launch %(name)s") % {"name": name})
        definition = self._definition(name)
        params = self._params_of(request, definition)
        data = request.POST if request.method == "POST" else None
        form = LaunchForm(definition, data, params, partial(self._row_widget, request, definition))
        if form.is_valid():
            run = self._launch(request, form)
            if run is not None:
                return HttpResponseRedirect(self._after_launch(request, run))
        # Its layout asks nothing of a form that only those of models have.
        adminform = helpers.AdminForm(cast(Any, form), form.fieldsets, {}, model_admin=self)
        context.update(
            definition=definition,
            adminform=adminform,
            form=form,
            errors=form.errors,
            media=self.media + adminform.media,
        )
        return TemplateResponse(request, "admin/django_tasktree/treerun/launch_definition.html", context)

    def launch_rows_view(self, request: HttpRequest, name: str, parameter: str) -> HttpResponse:
        """Look up rows for a parameter that names one."""
        if not self.has_launch_permission(request):
            raise PermissionDenied
        found = [each for each in self._definition(name).parameters if each.name == parameter]
        if not found or found[0].model is None or not can_be_searched(found[0], self.admin_site, request):
            raise Http404(f"{name}: {parameter}")
        view: Any = RowChoices.as_view(admin_site=self.admin_site, parameter=found[0])
        answer: HttpResponse = view(request)
        return answer

    def _row_widget(self, request: HttpRequest, definition: Definition[Any], parameter: Parameter) -> RowSelect | None:
        if not can_be_searched(parameter, self.admin_site, request):
            return None
        name = "admin:django_tasktree_treerun_launch_rows"
        url = reverse(name, args=[definition.name, parameter.name], current_app=self.admin_site.name)
        return RowSelect(parameter, self.admin_site, url)

    def _params_of(self, request: HttpRequest, definition: Definition[Any]) -> dict[str, Any]:
        """The parameters of the run that is to be launched again, if the user may see that."""
        run_id = as_uuid(request.GET.get("again", ""))
        run = TreeRun.objects.filter(id=run_id, definition=definition.name).first() if run_id else None
        if run is None or not self.has_view_permission(request, run):
            return {}
        try:
            return definition.clean_params(run.params)
        except InvalidParameter:
            # The definition has changed since: what still has its name is shown as it was.
            names = {parameter.name for parameter in definition.parameters}
            return {name: value for name, value in run.params.items() if name in names}

    def _definition(self, name: str) -> Definition[Any]:
        try:
            return get_definition(name)
        except UnknownDefinition as error:
            raise Http404(str(error)) from error

    def _launch(self, request: HttpRequest, form: LaunchForm) -> TreeRun | None:
        """Launch, and log that; where the definition refuses, the form says why."""
        key = form.cleaned_data["key"]
        existed = key is not None and TreeRun.objects.filter(key=key).exists()
        name = form.definition.name
        try:
            # All or nothing: rows that the definition itself wrote too.
            with atomic_with_runs(DEFAULT_DB_ALIAS):
                tree = prepare(name, form.params)
                run = tree.apply_async(key=key, launched_by=request.user, eta=form.cleaned_data["eta"]).run
                if not existed:
                    self.log_addition(request, run, _("Launched %(name)s.") % {"name": name})
        except KeyInUse:
            other = TreeRun.objects.filter(key=key).first()
            text = _("This key belongs to the run “%(run)s”, which has another definition or other parameters.")
            form.add_error("key", text % {"run": run_title(other) if other else key})
            return None
        except Exception as error:
            # A definition is the project's code and may raise anything; the form shows it, the log has the traceback.
            logger.warning("the tree %r could not be launched from the admin", name, exc_info=True)
            form.add_launch_error(error)
            return None
        self._tell_of_launch(request, run, existed)
        return run

    def _tell_of_launch(self, request: HttpRequest, run: TreeRun, existed: bool) -> None:
        if existed:
            text = _("A run with the key “%(key)s” exists, so nothing new was launched; it is “%(run)s”.")
            messages.warning(request, text % {"key": run.key, "run": run_title(run)})
            return
        if run.eta is not None:
            text = _("“%(run)s” will be launched at %(time)s; until then it is a draft.")
            due = date_format(times.local(run.eta), "SHORT_DATETIME_FORMAT")
            messages.success(request, text % {"run": run_title(run), "time": due})
            return
        messages.success(request, _("Launched “%(run)s”.") % {"run": run_title(run)})

    def _after_launch(self, request: HttpRequest, run: TreeRun) -> str:
        """Go to the run, or back to the definitions where the user may launch runs but not see them."""
        site = self.admin_site.name
        if self.has_view_permission(request, run):
            return reverse("admin:django_tasktree_treerun_change", args=[run.pk], current_app=site)
        return reverse("admin:django_tasktree_treerun_launch", current_app=site)

    def _launch_context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        """What the templates of both pages need.

        Raises:
            PermissionDenied: the user may not launch trees.
        """
        if not self.has_launch_permission(request):
            raise PermissionDenied
        return page_context(self, request, title)
