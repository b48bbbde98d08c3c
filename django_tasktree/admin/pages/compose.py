"""Pages on which users compose a tree and save it as a draft."""

# ruff: noqa: ARG002  Django's signatures

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasktree.admin.pages.base import AdminPage
from django_tasktree.admin.pages.buttons import Button
from django_tasktree.admin.pages.compose_form import NodeFormSet, RunForm, json_text, node_formset, summary
from django_tasktree.admin.pages.submitted_once import launched_once, new_token, run_id_of, warn_submitted_before
from django_tasktree.admin.rendering import run_title
from django_tasktree.builder.eligibility import ACT_IN_BACKGROUND, eligible_tasks
from django_tasktree.client.tree import TaskTree
from django_tasktree.drafts import DraftChanged, NodeRow, read_result, read_rows, save_draft
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import NotPossible, TaskTreeError
from django_tasktree.models import TreeRun
from django_tasktree.reporting.numbers import whole_number
from django_tasktree.reporting.refusals import refusal_text
from django_tasktree.states import RunState

if TYPE_CHECKING:
    from django_tasktree.admin.runs import TreeRunAdmin

_PREFIX = "nodes"
#: The hidden field with the revision of the draft when the form was loaded.
_REVISION = "revision"
_CHANGED = ValidationError(
    gettext_lazy(
        "This draft was changed in the meantime, in another window or by somebody else, and is not saved. "
        "If you save again, what you see here replaces that change."
    ),
    code="changed",
)
_EDIT, _EDIT_EXPLAINED = gettext_lazy("Edit draft"), gettext_lazy("Change the nodes of this draft by hand.")
_COPY, _COPY_EXPLAINED = gettext_lazy("Copy as draft"), gettext_lazy("Write a new draft with the nodes of this run.")


class ComposePage(AdminPage):
    """The page of a new draft, which starts empty or with the nodes of another run."""

    route = "compose/"
    permission = "compose"
    template_name = "admin/django_tasktree/treerun/compose.html"
    model_admin: "TreeRunAdmin"
    row: TreeRun | None

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Show the forms, with the nodes of the run that is copied or edited."""
        source = self.source()
        try:
            rows = read_rows(source.pk) if source is not None else []
            returned = read_result(source) if source is not None else ()
        except NotPossible as error:
            messages.error(request, refusal_text(error))
            return HttpResponseRedirect(self._page(source))
        return self.render(self.get_context_data(*_forms(request, source, rows, returned)))

    def post(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Save the draft and redirect to its page, or show the forms with errors."""
        # The submitted form contains the nodes that were copied from another run, so that run is not needed.
        form, formset = _forms(request, self.row, [], ())
        run = self.save(form, formset) if form.is_valid() and formset.is_valid() else None
        if run is None:
            return self.render(self.get_context_data(form, formset))
        return HttpResponseRedirect(self._page(run))

    def find_row(self, key: UUID) -> TreeRun:
        """Return a run whose nodes the user may see.

        Raises:
            Http404: there is no such run.
            PermissionDenied: the user may not see the run or its nodes.
        """
        run: TreeRun = super().find_row(key)
        if not self.model_admin.has_view_nodes_permission(self.request, run):
            raise PermissionDenied
        return run

    def source(self) -> TreeRun | None:
        """Return the run whose nodes the forms show initially; None for empty forms."""
        source = as_uuid(self.request.GET.get("from", ""))
        return self.find_row(source) if source else None

    def save(self, form: RunForm, formset: NodeFormSet) -> TreeRun | None:
        """Save the draft, and launch it if requested.

        Returns:
            The run; None if it could not be saved or launched: then the forms have the errors.
        """
        request, draft = self.request, self.row
        tree = form.tree()
        if not formset.fill(tree, form):
            return None
        if not tree.children:
            form.add_error(None, _("A tree needs at least one node."))
            return None
        launches = "_launch" in request.POST and self.model_admin.has_launch_permission(request)
        run_id = run_id_of(request) if draft is None else None
        try:
            run, is_new = launched_once(run_id, partial(_write, request, tree, draft, run_id, launches))
        except DraftChanged:
            form.add_error(None, _CHANGED)
            return None
        except TaskTreeError as error:
            form.add_error(None, refusal_text(error))
            return None
        if is_new:
            self._report_saving(run, launches)
        else:
            warn_submitted_before(request)
        return run

    def get_context_data(self, form: RunForm, formset: NodeFormSet) -> dict[str, Any]:
        """Return the context of the template."""
        draft = self.row
        title = _("Edit draft: %(run)s") % {"run": run_title(draft)} if draft else _("New draft")
        return {
            **self.page_context(title),
            "form": form,
            "formset": formset,
            "tasks": [(task.name, summary(task)) for task in eligible_tasks()],
            "may_launch": self.model_admin.has_launch_permission(self.request),
            "failed": bool(form.errors) or any(formset.errors) or bool(formset.non_form_errors()),
            "back": self._page(draft),
            "once": new_token(),
            "revision": _revision_of(self.request, form, draft),
        }

    def _report_saving(self, run: TreeRun, launches: bool) -> None:
        done = _("Launched") if launches else _("Saved as a draft")
        log = self.model_admin.log_addition if self.row is None else self.model_admin.log_change
        log(self.request, run, f"{done}.")
        text = _("Launched “%(run)s”.") if launches else _("Saved the draft “%(run)s”.")
        messages.success(self.request, text % {"run": run_title(run)})

    def _page(self, run: TreeRun | None) -> str:
        if run is None:
            return self.model_admin.address("changelist")
        return self.model_admin.address("change", run.pk)


class EditDraftPage(ComposePage):
    """The page that edits an existing draft."""

    route = "<uuid:key>/compose/"
    row: TreeRun

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Show the forms with the nodes of the draft, or redirect to the run if it is no longer a draft."""
        return super().get(request, **path) if self.row.state == RunState.DRAFT else self._is_no_draft()

    def post(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Save the draft, or redirect to the run if it is no longer a draft."""
        return super().post(request, **path) if self.row.state == RunState.DRAFT else self._is_no_draft()

    def check_permission(self) -> None:
        """Require the permission to compose drafts, unless the run is no longer a draft: then the page redirects."""
        if self.row.state == RunState.DRAFT:
            super().check_permission()

    def source(self) -> TreeRun:
        """Return the draft itself."""
        return self.row

    def _is_no_draft(self) -> HttpResponse:
        messages.error(self.request, _("“%(run)s” is no draft any more.") % {"run": run_title(self.row)})
        return HttpResponseRedirect(self._page(self.row))


def compose_buttons(model_admin: "TreeRunAdmin", request: HttpRequest, run: TreeRun) -> list[Button]:
    """Return the buttons on the page of a run that open these pages."""
    if not model_admin.has_compose_permission(request, run) or not model_admin.has_view_nodes_permission(request, run):
        return []
    if run.definition == ACT_IN_BACKGROUND:
        # Its tasks act on other runs, and drafts may not contain them.
        return []
    copy = Button("from", _COPY, _COPY_EXPLAINED, f"{model_admin.address('compose')}?from={run.pk}")
    if run.state != RunState.DRAFT:
        return [copy]
    return [Button("compose", _EDIT, _EDIT_EXPLAINED, model_admin.address("compose_draft", run.pk)), copy]


def _write(request: HttpRequest, tree: TaskTree, draft: TreeRun | None, new_id: UUID | None, launches: bool) -> UUID:
    revision = whole_number(request.POST.get(_REVISION, ""))
    key = None if draft is None else draft.pk
    with transaction.atomic(using=write_alias()):
        result = save_draft(tree, key, by=request.user, revision=revision, new_id=new_id)
        if launches:
            result.launch(by=request.user)
        return result.id


def _revision_of(request: HttpRequest, form: RunForm, draft: TreeRun | None) -> str:
    """Return the revision that the form changes, or the current one after the form has reported a conflict."""
    if draft is None:
        return ""
    has_conflict = form.is_bound and form.has_error(NON_FIELD_ERRORS, _CHANGED.code)
    return request.POST.get(_REVISION, "") if form.is_bound and not has_conflict else str(draft.revision)


def _forms(
    request: HttpRequest, source: TreeRun | None, rows: list[NodeRow], returned: tuple[Any, ...]
) -> tuple[RunForm, NodeFormSet]:
    data = request.POST if request.method == "POST" else None
    rules = ("name", "on_failure", "max_active")
    initial = (
        {name: getattr(source, name) for name in rules} | {"returns": "".join(map(json_text, returned))}
        if source
        else {}
    )
    formset = node_formset(0 if rows or data is not None else 3)
    nodes = [vars(row) for row in rows]
    return RunForm(data, initial=initial), formset(data, initial=nodes, prefix=_PREFIX)
