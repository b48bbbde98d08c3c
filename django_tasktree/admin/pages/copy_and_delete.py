"""The parts of the actions "copy" and "delete" on runs that other actions do not have."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import model_ngettext
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_noop, ngettext

from django_tasktree.admin.pages.control import ControlPage
from django_tasktree.admin.pages.submitted_once import launched_once, run_id_of, warn_submitted_before
from django_tasktree.control.actions import ACTIONS, ActionType
from django_tasktree.control.purge import what_goes_with
from django_tasktree.definitions.registry import all_definitions
from django_tasktree.definitions.relaunch import copy_run
from django_tasktree.engine.deletion.dependents import models_that_go_with_runs
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.refusals import refusal_text

if TYPE_CHECKING:
    from django_tasktree.admin.runs import TreeRunAdmin

_COPY, _DELETE = ACTIONS["copy"], ACTIONS["delete"]


class RunControlPage(ControlPage):
    """The page of actions on runs, with the additions for "copy" and "delete"."""

    model_admin: "TreeRunAdmin"
    row: TreeRun

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Ask for confirmation; to copy a run with a definition, redirect to its form, to allow other parameters."""
        known = {definition.name for definition in all_definitions()}
        if self.action is _COPY and self.row.definition in known:
            page = self.model_admin.address("launch_definition", self.row.definition)
            return HttpResponseRedirect(f"{page}?again={self.row.pk}")
        return super().get(request, **path)

    def page_after(self, request: HttpRequest, row: Any) -> str:
        """Return the URL of the copy, of the list if the run was deleted, or of the run itself."""
        copied = getattr(row, "copied", None)
        if copied is not None:
            return self._page_of(copied)
        return super().page_after(request, row) if TreeRun.objects.filter(pk=row.pk).exists() else self._list_page()

    def do_later(
        self, request: HttpRequest, action: ActionType, keys: Sequence[UUID], form: forms.BaseForm
    ) -> HttpResponse:
        """Let a worker do it. To delete runs, first require permission for all models that may be deleted with them."""
        if action is _DELETE:
            try:
                self._refuse_without_permission(request, models_that_go_with_runs())
            except NotPossible as exc:
                messages.error(request, refusal_text(exc))
                return HttpResponseRedirect(self._list_page())
        return super().do_later(request, action, keys, form)

    def preview(self, action: ActionType, row: Any) -> tuple[Effect, list[str]]:
        """Return the effect, with the number of nodes to copy, or of the rows that are deleted with the run."""
        effect, lines = super().preview(action, row)
        if action is _COPY:
            number = NodeRun.objects.filter(run_id=row.pk).count()
            lines = [ngettext("%(number)s node", "%(number)s nodes", number) % {"number": number_text(number)}]
        elif action is _DELETE:
            lines = [
                f"{number_text(count)} {model_ngettext(model, count)}"  # type: ignore[arg-type]
                for model, count in what_goes_with(row.pk).items()
            ]
        return effect, lines

    def act(self, request: HttpRequest, action: ActionType, row: Any, options: dict[str, Any]) -> Effect | None:
        """Carry out the action: copy a run once per form; delete a run if the user may delete what is deleted with it.

        Raises:
            TaskTreeError: the action is refused.
        """
        if action is _COPY:
            return self._copy(request, row)
        if action is not _DELETE:
            return super().act(request, action, row, options)
        self._refuse_without_permission(request, what_goes_with(row.pk))
        effect = super().act(request, action, row, options)
        rows: Any = [row]
        self.model_admin.log_deletions(request, rows)
        return effect

    def _copy(self, request: HttpRequest, row: TreeRun) -> Effect | None:
        run_id = run_id_of(request, row.pk)
        # For :meth:`page_after`.
        copied: Any = row
        copied.copied, is_new = launched_once(run_id, lambda: copy_run(row, {}, request.user, run_id))
        if is_new:
            return Effect()
        warn_submitted_before(request)
        return None

    def log_done(self, request: HttpRequest, action: ActionType, row: Any) -> None:
        """Write an entry to the admin's log; :meth:`act` logs deletions."""
        if action is not _DELETE:
            super().log_done(request, action, row)

    def _refuse_without_permission(self, request: HttpRequest, models: Iterable[Any]) -> None:
        """Require permission to delete the rows that are deleted with a run, as Django's admin does.

        Raises:
            NotPossible: the user may not delete rows of one of the models.
        """
        for model in models:
            if not self.model_admin.admin_site.is_registered(model):
                continue
            if not self.model_admin.admin_site.get_model_admin(model).has_delete_permission(request):
                text = gettext_noop("Your account does not have permission to delete related objects: %(objects)s.")
                raise NotPossible(text, objects=model_ngettext(model, 2))
