"""The pages on which a tree is composed by hand, and saved as a draft."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasktree.admin.compose_form import NodeFormSet, RunForm, node_formset, summary
from django_tasktree.admin.launch import LaunchPages
from django_tasktree.admin.live import LivePages
from django_tasktree.admin.page_context import page_context
from django_tasktree.admin.rendering import run_title
from django_tasktree.bulk_steering import verb_of
from django_tasktree.citizens import citizen_tasks
from django_tasktree.drafting import NodeRow, read_rows, save_draft
from django_tasktree.engine.moves import write_alias
from django_tasktree.exceptions import NotPossible, TaskTreeError
from django_tasktree.identifiers import as_uuid
from django_tasktree.models import TreeRun
from django_tasktree.states import RunState
from django_tasktree.verbs import Verb

_PREFIX = "nodes"
_EDIT = Verb("compose", gettext_lazy("Edit draft"), gettext_lazy("Change the nodes of this draft by hand."))
_COPY = Verb("from", gettext_lazy("Copy as draft"), gettext_lazy("Write a new draft with the nodes of this run."))


class ComposePages(LaunchPages, LivePages):
    """Adds them to the admin of runs."""

    def has_compose_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's manner
        """Tell whether the user may write drafts, of whatever tasks the project has; a hook, like Django's own."""
        return request.user.has_perm("django_tasktree.compose_treerun")

    def get_urls(self) -> list[URLPattern]:
        """Put them before the pages of single runs, which take any path."""
        wrap = self.admin_site.admin_view
        name = "django_tasktree_treerun_compose"
        return [
            path("compose/", wrap(self.compose_view), name=name),
            path("<uuid:key>/compose/", wrap(self.edit_draft_view), name=f"{name}_draft"),
            *super().get_urls(),
        ]

    def compose_buttons(self, request: HttpRequest, run: TreeRun) -> list[dict[str, Any]]:
        """The buttons that lead here from the page of a run."""
        if not self.has_compose_permission(request, run) or not self.has_view_nodes_permission(request, run):
            return []
        if verb_of(run) is not None:
            # What it does to other runs is not for drafts.
            return []
        site, name = self.admin_site.name, "admin:django_tasktree_treerun_compose"
        copy = {"verb": _COPY, "link": f"{reverse(name, current_app=site)}?from={run.pk}"}
        if run.state != RunState.DRAFT:
            return [copy]
        return [{"verb": _EDIT, "link": reverse(f"{name}_draft", args=[run.pk], current_app=site)}, copy]

    def compose_view(self, request: HttpRequest) -> HttpResponse:
        """Write a new draft, empty at first or with the nodes of another run."""
        source = as_uuid(request.GET.get("from", ""))
        run = self._run(request, source, nodes=True) if source else None
        return self._compose(request, run, None)

    def edit_draft_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Change a draft."""
        run = self._run(request, key, nodes=True)
        if run.state != RunState.DRAFT:
            messages.error(request, _("“%(run)s” is no draft any more.") % {"run": run_title(run)})
            return HttpResponseRedirect(self._page(run))
        return self._compose(request, run, run)

    def _compose(self, request: HttpRequest, source: TreeRun | None, draft: TreeRun | None) -> HttpResponse:
        if not self.has_compose_permission(request, draft):
            raise PermissionDenied
        try:
            rows = read_rows(source.pk) if source is not None and request.method != "POST" else []
        except NotPossible as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self._page(source))
        form, formset = _forms(request, source, rows)
        if request.method == "POST" and form.is_valid() and formset.is_valid():
            run = self._save(request, form, formset, draft)
            if run is not None:
                return HttpResponseRedirect(self._page(run))
        return self._composer(request, form, formset, draft)

    def _save(self, request: HttpRequest, form: RunForm, formset: NodeFormSet, draft: TreeRun | None) -> TreeRun | None:
        """Save the draft, and launch it where that was asked for; where it can't be, the forms say why."""
        tree = form.tree()
        if not formset.fill(tree):
            return None
        if not tree.children:
            form.add_error(None, _("A tree needs at least one node."))
            return None
        launches = "_launch" in request.POST and self.has_launch_permission(request)
        try:
            with transaction.atomic(using=write_alias()):
                result = save_draft(tree, None if draft is None else draft.pk, by=request.user)
                if launches:
                    result.launch(by=request.user)
        except TaskTreeError as error:
            form.add_error(None, str(error))
            return None
        run: TreeRun = result.run
        done = _("Launched") if launches else _("Saved as a draft")
        log = self.log_addition if draft is None else self.log_change
        log(request, run, f"{done}.")
        text = _("Launched “%(run)s”.") if launches else _("Saved the draft “%(run)s”.")
        messages.success(request, text % {"run": run_title(run)})
        return run

    def _composer(
        self, request: HttpRequest, form: RunForm, formset: NodeFormSet, draft: TreeRun | None
    ) -> HttpResponse:
        title = _("Edit draft: %(run)s") % {"run": run_title(draft)} if draft else _("New draft")
        context = {
            **page_context(self, request, title),
            "form": form,
            "formset": formset,
            "tasks": [(task.name, summary(task)) for task in citizen_tasks()],
            "may_launch": self.has_launch_permission(request),
            "failed": bool(form.errors) or any(formset.errors) or bool(formset.non_form_errors()),
            "back": self._page(draft),
        }
        return TemplateResponse(request, "admin/django_tasktree/treerun/compose.html", context)

    def _page(self, run: TreeRun | None) -> str:
        site = self.admin_site.name
        if run is None:
            return reverse("admin:django_tasktree_treerun_changelist", current_app=site)
        return reverse("admin:django_tasktree_treerun_change", args=[run.pk], current_app=site)


def _forms(request: HttpRequest, source: TreeRun | None, rows: list[NodeRow]) -> tuple[RunForm, NodeFormSet]:
    data = request.POST if request.method == "POST" else None
    initial = {"name": source.name, "on_failure": source.on_failure, "max_active": source.max_active} if source else {}
    formset = node_formset(0 if rows or data is not None else 3)
    nodes = [vars(row) for row in rows]
    return RunForm(data, initial=initial), formset(data, initial=nodes, prefix=_PREFIX)
