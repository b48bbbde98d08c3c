"""Launch a run again, and delete runs: asked for in the same way as what steers them."""

# ruff: noqa: ARG002  Django's signatures

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.utils import model_ngettext
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from django_tasktree.admin.control import ControlPages
from django_tasktree.admin.refusals import refusal_text
from django_tasktree.bulk_steering import permission_to, verb_of
from django_tasktree.control_form import ControlForm
from django_tasktree.engine.dependents import models_that_go_with_runs
from django_tasktree.engine.specs import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.number_texts import number_text
from django_tasktree.purging import HAS_NOT_ENDED, delete_run, what_goes_with
from django_tasktree.registry import all_definitions
from django_tasktree.result import TreeResult
from django_tasktree.states import RUN_OPEN, RunState
from django_tasktree.tasks import delete_runs as delete_later
from django_tasktree.verbs import Verb

#: Of so many nodes whoever asks waits for the end; more are deleted by a worker.
AT_ONCE = 20_000

COPY = Verb(
    "copy",
    gettext_lazy("Launch again"),
    gettext_lazy("Launch the same tree once more, as a new run; this one stays as it is."),
    may_fit_run=lambda run: run.state != RunState.DRAFT and verb_of(run) is None,
)
DELETE = Verb(
    "delete",
    gettext_lazy("Delete"),
    gettext_lazy("Delete the run with its nodes, their results, attempts and history. This can't be undone."),
    may_fit_run=lambda run: run.state not in RUN_OPEN,
    is_grave=True,
)


class CopyAndDelete(ControlPages):
    """Adds both to the admin of runs."""

    def known_verbs(self) -> dict[str, Verb]:
        """All that may be asked of runs."""
        return {**super().known_verbs(), COPY.name: COPY, DELETE.name: DELETE}

    def has_verb_permission(self, request: HttpRequest, verb: Verb, obj: Any = None) -> bool:
        """Ask the hook of that permission."""
        hook = getattr(self, f"has_{permission_to(verb.name)}_permission")
        return bool(hook(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the user may delete runs."""
        return request.user.has_perm("django_tasktree.delete_treerun")

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Ask in our own way."""
        name = "admin:django_tasktree_treerun_control"
        return HttpResponseRedirect(reverse(name, args=[object_id, DELETE.name], current_app=self.admin_site.name))

    def control_view(self, request: HttpRequest, key: UUID, verb: str) -> HttpResponse:
        """A run of a definition is launched again by the definition's form, where its parameters can be changed."""
        if verb == COPY.name and request.method == "GET":
            run = self.get_queryset(request).filter(pk=key).first()
            known = {definition.name for definition in all_definitions()}
            if run is not None and run.definition in known and self._may(request, COPY, run):
                form = "admin:django_tasktree_treerun_launch_definition"
                page = reverse(form, args=[run.definition], current_app=self.admin_site.name)
                return HttpResponseRedirect(f"{page}?again={run.pk}")
        return super().control_view(request, key, verb)

    def page_after(self, request: HttpRequest, row: Any) -> str:
        """Go to the new run; from one that was deleted to the list."""
        copied = getattr(row, "copied", None)
        if copied is not None:
            return self._page_of(copied)
        return super().page_after(request, row) if TreeRun.objects.filter(pk=row.pk).exists() else self._list_page()

    def do_later(self, request: HttpRequest, verb: Verb, keys: Sequence[UUID], form: ControlForm) -> HttpResponse:
        """Require permission for all that may go along with what is deleted."""
        if verb is DELETE:
            try:
                self._refuse_without_permission(request, models_that_go_with_runs())
            except NotPossible as exc:
                messages.error(request, refusal_text(exc))
                return HttpResponseRedirect(self._list_page())
        return super().do_later(request, verb, keys, form)

    def preview(self, verb: Verb, row: Any) -> tuple[Effect, list[str]]:
        """Count the nodes."""
        if verb.name not in (COPY.name, DELETE.name):
            return super().preview(verb, row)
        if verb is DELETE and row.state in RUN_OPEN:
            raise NotPossible(HAS_NOT_ENDED, run=row.pk)
        number = NodeRun.objects.filter(run_id=row.pk).count()
        lines = [ngettext("%(number)s node", "%(number)s nodes", number) % {"number": number_text(number)}]
        if verb is DELETE:
            lines += [
                f"{number_text(count)} {model_ngettext(model, count)}"  # type: ignore[arg-type]
                for model, count in what_goes_with(row.pk).items()
            ]
        return Effect(), lines

    def act(self, request: HttpRequest, verb: Verb, row: Any, options: dict[str, Any]) -> Effect:
        """Launch it again, or delete it."""
        if verb is COPY:
            row.copied = TreeResult(row.pk).copy(by=request.user)
            row.copied.pk = row.copied.id
        elif verb is DELETE:
            self._delete(request, row)
        else:
            return super().act(request, verb, row, options)
        return Effect()

    def log_done(self, request: HttpRequest, verb: Verb, row: Any) -> None:
        """What is deleted was logged before."""
        if verb is not DELETE:
            super().log_done(request, verb, row)

    def _delete(self, request: HttpRequest, row: Any) -> None:
        if row.state in RUN_OPEN:
            raise NotPossible(HAS_NOT_ENDED, run=row.pk)
        self._refuse_without_permission(request, what_goes_with(row.pk))
        if NodeRun.objects.filter(run_id=row.pk)[: AT_ONCE + 1].count() > AT_ONCE:
            delete_later.delay([str(row.pk)])
            text = _("“%(run)s” is large: a worker deletes it.") % {"run": self.title_of(row)}
            messages.info(request, text)
        else:
            delete_run(row.pk)
        rows: Any = [row]
        self.log_deletions(request, rows)

    def _refuse_without_permission(self, request: HttpRequest, models: Iterable[Any]) -> None:
        """Require permission to delete the rows that go with a run, as Django's admin does."""
        for model in models:
            if not self.admin_site.is_registered(model):
                continue
            if not self.admin_site.get_model_admin(model).has_delete_permission(request):
                text = gettext_noop("Your account does not have permission to delete what goes with it: %(objects)s.")
                raise NotPossible(text, objects=model_ngettext(model, 2))
