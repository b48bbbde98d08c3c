"""Pages that ask for confirmation of an action on one or more runs or nodes, and carry it out."""

# ruff: noqa: ARG002  Django's signatures

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.pages.base import AdminPage, may_view
from django_tasktree.admin.pages.buttons import Button
from django_tasktree.admin.pages.submitted_once import launched_once, new_token, run_id_of, warn_submitted_before
from django_tasktree.client.bulk import act_in_background, permission_of
from django_tasktree.client.node_result import NodeResult
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.control.actions import (
    ActionType,
    available_for_node,
    available_for_run,
    is_answer,
    node_actions,
    run_actions,
)
from django_tasktree.control.descriptions import describe_effect, total
from django_tasktree.control.forms import ControlForm
from django_tasktree.definitions.payload_forms import payload_form
from django_tasktree.definitions.payloads import CleanedPayload
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import InvalidParameter, TaskTreeError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.refusals import refusal_text

if TYPE_CHECKING:
    from django_tasktree.admin.base import ReadOnlyAdmin
    from django_tasktree.admin.nodes import NodeRunAdmin
    from django_tasktree.admin.runs import TreeRunAdmin

logger = logging.getLogger(__name__)

#: The maximum number of rows that are shown with a preview and handled in the request; more are handled by a worker.
MAX_ROWS = 200
#: Slow actions that affect more nodes than this are handled by a worker.
MAX_NODES_AT_ONCE = 10_000
#: Precedes the names of the fields of a payload's form: the page has fields of its own.
PAYLOAD_PREFIX = "payload"


@dataclass
class ActionPreview:
    """The effect that an action would have on one run or node.

    Attributes:
        action: the name of the action.
        title: the title of the run or node.
        link: the URL of its page.
        effect: the effect; None if the action is refused.
        refusal: the reason why the action is refused.
        more: further sentences about the effect.
    """

    action: str
    title: str
    link: str
    effect: Effect | None = None
    refusal: str = ""
    more: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The sentences that describe the effect; empty if the action is refused."""
        return [*describe_effect(self.action, self.effect), *self.more] if self.effect is not None else []


@dataclass
class Confirmation:
    """The content of a page that asks for confirmation."""

    action: ActionType
    asked: list[ActionPreview]
    form: forms.BaseForm
    hidden: list[tuple[str, Any]] = field(default_factory=list)
    #: The number of rows, if they are too many to be shown and are handled by a worker; otherwise 0.
    number: int = 0
    #: What a wait node waits for, if the action completes one; otherwise None.
    answered: WaitSpec | None = None

    @property
    def explained(self) -> Any:
        """What the action does."""
        if self.answered is not None:
            return _("What you enter becomes the result of this wait, and the nodes that follow it can start.")
        return self.action.explained

    @property
    def fitting(self) -> list[ActionPreview]:
        """The previews of the rows on which the action is not refused."""
        return [one for one in self.asked if one.effect is not None]

    @property
    def may_be_confirmed(self) -> bool:
        """Whether there is a row on which the action can be carried out."""
        return bool(self.number or self.fitting)

    @property
    def is_large(self) -> bool:
        """Whether a worker carries out the action, instead of the request."""
        effects = [one.effect for one in self.asked if one.effect is not None]
        return bool(self.number) or (self.action.is_slow and total(effects).moved > MAX_NODES_AT_ONCE)

    @property
    def texts(self) -> list[str]:
        """The sentences that describe the total effect on all rows."""
        return describe_effect(self.action.name, total(one.effect for one in self.asked if one.effect is not None))


class ControlPage(AdminPage):
    """The page that asks for confirmation of an action on a run or a node, and carries it out.

    The actions of a list use it for several rows.
    """

    route = "<uuid:key>/control/<slug:action>/"
    template_name = "admin/django_tasktree/control.html"
    model_admin: "TreeRunAdmin | NodeRunAdmin"
    action: ActionType

    def get(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Ask for confirmation of an action on one row."""
        return self.ask(request)

    def post(self, request: HttpRequest, **path: Any) -> HttpResponse:
        """Carry out the action if it is confirmed."""
        return self.ask(request)

    def ask(self, request: HttpRequest) -> HttpResponse:
        """Ask for confirmation of an action on one row; if it is confirmed, carry it out and redirect."""
        page = self.confirm(request, self.action, [self.row], "confirmed" in request.POST)
        return page or HttpResponseRedirect(self.page_after(request, self.row))

    def find_row(self, key: UUID) -> Any:
        """Return the row, and store the action that the URL names.

        Raises:
            Http404: there is no such row or action.
            PermissionDenied: the user may not see the row.
        """
        found = self.known_actions().get(self.kwargs["action"])
        if found is None:
            raise Http404(f"{self.model_admin.opts.verbose_name} {key}: {self.kwargs['action']}")
        self.action = found
        return super().find_row(key)

    def check_permission(self) -> None:
        """Require the permission for the action.

        Raises:
            PermissionDenied: the user may not do this to the row.
        """
        if not self.may_view_and_act(self.request, self.action, self.row):
            raise PermissionDenied

    def has_action_permission(self, request: HttpRequest, action: ActionType, obj: Any = None) -> bool:
        """Return whether the model admin's hook grants the permission that an action needs."""
        hook = getattr(self.model_admin, f"has_{action.permission}_permission")
        if is_answer(action, obj) and self.model_admin.has_answer_permission(request, obj):
            return True
        return bool(hook(request, obj))

    def may_view_and_act(self, request: HttpRequest, action: ActionType, row: Any) -> bool:
        """Return whether the user may see a row and carry out an action on it."""
        return self.model_admin.has_view_permission(request, row) and self._may_act(request, action, row)

    def known_actions(self) -> dict[str, ActionType]:
        """Return all actions on rows of this model, by name."""
        return run_actions() if self.model_admin.model is TreeRun else node_actions()

    def actions_for(self, row: Any) -> list[ActionType]:
        """Return the actions that the page of a row offers, given its state."""
        return available_for_run(row) if isinstance(row, TreeRun) else available_for_node(row, row.run)

    def buttons(self, request: HttpRequest, row: Any) -> list[Button]:
        """Return the buttons on a row's page, for the actions that the user may carry out."""
        return [
            Button.of(action, self.model_admin.address("control", row.pk, action.name))
            for action in self.actions_for(row)
            if self._may_act(request, action, row)
        ]

    def page_after(self, request: HttpRequest, row: Any) -> str:
        """Return the URL to which to redirect after the action."""
        return self._page_of(row)

    def confirm(
        self,
        request: HttpRequest,
        action: ActionType,
        rows: Sequence[Any],
        confirmed: bool,
        hidden: Iterable[tuple[str, Any]] = (),
    ) -> HttpResponse | None:
        """Show the page that asks for confirmation; if it is given, carry out the action, or let a worker do it.

        Args:
            request: the request.
            action: the action.
            rows: the rows, at most ``MAX_ROWS``.
            confirmed: whether the request confirms the action.
            hidden: names and values of hidden fields that the page repeats.

        Returns:
            None if the request has carried out the action.
        """
        form = self.form_for(action, rows, *((request.POST, request.FILES) if confirmed else ()))
        if confirmed and form.is_valid():
            page = Confirmation(action, self._previews(action, rows) if action.is_slow else [], form)
            if page.is_large:
                return self.do_later(request, action, [row.pk for row in rows], form)
            self._do(request, action, rows, options_of(form))
            return None
        answered = _answered(action, rows)
        return self._asking(
            request, Confirmation(action, self._previews(action, rows), form, list(hidden), answered=answered)
        )

    def form_for(
        self, action: ActionType, rows: Sequence[Any], data: QueryDict | None = None, files: Any = None
    ) -> forms.BaseForm:
        """Return the form of an action: for one wait node, the form of its payload, if it has one.

        Args:
            action: the action.
            rows: the rows.
            data: the submitted data; None for an empty form.
            files: the submitted files.
        """
        answered = _answered(action, rows)
        if answered is not None:
            try:
                form = payload_form(answered, data, files, PAYLOAD_PREFIX)
            except InvalidParameter as exc:
                # The page shows the JSON field, and completing the node shows the reason.
                logger.warning("the form of node %s can't be shown: %s", rows[0].pk, exc)
                form = None
            if form is not None:
                return form
        return ControlForm(action, data)

    def confirm_many(
        self, request: HttpRequest, action: ActionType, queryset: Any, hidden: Iterable[tuple[str, Any]]
    ) -> HttpResponse:
        """Show the page that asks for confirmation for more rows than ``MAX_ROWS``; if it is given, let a worker do it.

        Raises:
            PermissionDenied: the action is confirmed, but the user may not carry it out on one of the rows.
        """
        confirmed = "confirmed" in request.POST
        form = ControlForm(action, request.POST if confirmed else None)
        if confirmed and form.is_valid():
            keys = []
            for row in queryset.iterator(chunk_size=2_000):
                if not self.may_view_and_act(request, action, row):
                    raise PermissionDenied
                keys.append(row.pk)
            return self.do_later(request, action, keys, form)
        return self._asking(request, Confirmation(action, [], form, list(hidden), queryset.count()))

    def do_later(
        self, request: HttpRequest, action: ActionType, keys: Sequence[UUID], form: forms.BaseForm
    ) -> HttpResponse:
        """Launch a run that carries out the action; redirect to its page, or to the list if the user may not see it."""
        name = f"{action.label}: {self._counted(len(keys))}"
        run_id, model = run_id_of(request), self.model_admin.model
        about: dict[str, Any] = {"by": request.user, "name": name, "run_id": run_id, **options_of(form)}
        try:
            run, is_new = launched_once(run_id, lambda: act_in_background(model, keys, action.name, **about).id)
        except TaskTreeError as exc:
            messages.error(request, refusal_text(exc))
            return HttpResponseRedirect(self._list_page())
        if is_new:
            self.model_admin.log_addition(request, run, f"{name}.")
            messages.info(request, _("A worker does this in the background. This page shows the progress."))
        else:
            warn_submitted_before(request)
        site = self.model_admin.admin_site
        if not may_view(site, request, TreeRun, run):
            return HttpResponseRedirect(self._list_page())
        return HttpResponseRedirect(page_address(site.name, "treerun_change", run.pk))

    def warn_of_missing(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Show a message with the number of selected rows that no longer exist or match the filter."""
        chosen = set(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
        missing = len(chosen - {str(row.pk) for row in rows})
        if missing:
            text = ngettext(
                "%(number)s of the selected rows no longer exists, or no longer matches the filter.",
                "%(number)s of the selected rows no longer exist, or no longer match the filter.",
                missing,
            )
            messages.warning(request, text % {"number": missing})

    def _previews(self, action: ActionType, rows: Sequence[Any]) -> list[ActionPreview]:
        titles = self.model_admin.titles_of(rows)
        return [self._preview(action, row, titles) for row in rows]

    def _asking(self, request: HttpRequest, page: Confirmation) -> HttpResponse:
        return self.render(self._context(request, page))

    def _may_act(self, request: HttpRequest, action: ActionType, row: Any) -> bool:
        """Return whether the user may act; a run that acts on others also needs the permission for its action."""
        if not self.has_action_permission(request, action, row):
            return False
        for_others = permission_of(row if isinstance(row, TreeRun) else row.run)
        return for_others is None or request.user.has_perm(for_others)

    def _page_of(self, row: Any) -> str:
        return self.model_admin.address("change", row.pk)

    def _preview(self, action: ActionType, row: Any, titles: Mapping[UUID, str]) -> ActionPreview:
        one = ActionPreview(action.name, titles[row.pk], self._page_of(row))
        try:
            one.effect, one.more = self.preview(action, row)
        except TaskTreeError as exc:
            one.refusal = refusal_text(exc, titles)
        return one

    def preview(self, action: ActionType, row: Any) -> tuple[Effect, list[str]]:
        """Return the effect that an action would have on a row, and further sentences about it.

        Raises:
            TaskTreeError: the action is refused.
        """
        return handle_of(row).preview(action.name), []

    def act(self, request: HttpRequest, action: ActionType, row: Any, options: dict[str, Any]) -> Effect | None:
        """Carry out the action on one row.

        Args:
            request: the request.
            action: the action.
            row: the row.
            options: the arguments of the action, from the form.

        Returns:
            The effect; None if nothing was done and a message for the user explains why.

        Raises:
            TaskTreeError: the action is refused.
        """
        return action.carry_out(handle_of(row), by=request.user, **options).effect

    def _do(self, request: HttpRequest, action: ActionType, rows: Sequence[Any], options: dict[str, Any]) -> None:
        # Before the action, which may delete a row.
        titles = self.model_admin.titles_of(rows)
        effects: dict[UUID, Effect] = {}
        for row in rows:
            try:
                effect = self.act(request, action, row, options)
            except TaskTreeError as exc:
                messages.error(request, refusal_text(exc, titles))
                continue
            if effect is not None:
                self.log_done(request, action, row)
                effects[row.pk] = effect
        if effects:
            self._report_effects(request, action, effects, titles)

    def log_done(self, request: HttpRequest, action: ActionType, row: Any) -> None:
        """Write an entry for the action on a row to the admin's log."""
        self.model_admin.log_change(request, row, f"{action.label}.")

    def _report_effects(
        self, request: HttpRequest, action: ActionType, effects: Mapping[UUID, Effect], titles: Mapping[UUID, str]
    ) -> None:
        what = " ".join(titles[key] for key in effects) if len(effects) == 1 else self._counted(len(effects))
        done = [f"{action.label}: {what}", *describe_effect(action.name, total(effects.values()))]
        messages.success(request, "; ".join(done) + ".")

    def _counted(self, number: int) -> str:
        if self.model_admin.model is NodeRun:
            return ngettext("%(number)s node", "%(number)s nodes", number) % {"number": number_text(number)}
        return ngettext("%(number)s run", "%(number)s runs", number) % {"number": number_text(number)}

    def _context(self, request: HttpRequest, page: Confirmation) -> dict[str, Any]:
        asked = page.asked[0].title if len(page.asked) == 1 else self._counted(page.number or len(page.asked))
        if page.answered is not None:
            asked = page.answered.heading(asked)
        title = f"{page.action.label}: {asked}"
        return {
            **self.page_context(title),
            "media": self.model_admin.media + page.form.media,
            "page": page,
            "once": new_token(),
            "single": page.asked[0] if len(page.asked) == 1 else None,
            "back": page.asked[0].link if len(page.asked) == 1 else self._list_page(),
        }

    def _list_page(self) -> str:
        return self.model_admin.address("changelist")


def _answered(action: ActionType, rows: Sequence[Any]) -> WaitSpec | None:
    """Return what the only row waits for, if the action completes it; otherwise None."""
    return WaitSpec.read(rows[0].wait) if len(rows) == 1 and is_answer(action, rows[0]) else None


def options_of(form: Any) -> dict[str, Any]:
    """Return the arguments of an action that a valid form contains; those of a payload's form are the result."""
    return dict(form.cleaned_data) if isinstance(form, ControlForm) else {"result": CleanedPayload(form.cleaned_data)}


def handle_of(row: Any) -> TreeResult | NodeResult:
    """Return the handle of a row."""
    return TreeResult(row.pk) if isinstance(row, TreeRun) else NodeResult(row.pk)


def bulk_action(action: ActionType) -> Any:
    """Return the action of the list of runs or nodes, a function that asks for confirmation first."""

    def act(admin: "ReadOnlyAdmin", request: HttpRequest, queryset: Any) -> HttpResponse | None:
        page = admin.page("control", ControlPage, request)
        rows = list(queryset[: MAX_ROWS + 1])
        if len(rows) > MAX_ROWS:
            chosen = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
            across = [("select_across", request.POST.get("select_across", "0"))]
            # Django requires at least one selected ID, even if the action is on all rows that match the filter.
            some = chosen[:1] if across[0][1] == "1" else chosen
            hidden = [("action", act.__name__), *across, *((helpers.ACTION_CHECKBOX_NAME, key) for key in some)]
            return page.confirm_many(request, action, queryset, hidden)
        if not all(page.may_view_and_act(request, action, row) for row in rows):
            raise PermissionDenied
        page.warn_of_missing(request, rows)
        if not rows:
            return None
        hidden = [
            ("action", act.__name__),
            *((helpers.ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows),
        ]
        return page.confirm(request, action, rows, "confirmed" in request.POST, hidden)

    # This name replaces Django's own delete action, which would load the whole tree of each run.
    act.__name__ = "delete_selected" if action.name == "delete" else f"{action.name}_chosen"
    act.short_description = action.label  # type: ignore[attr-defined]
    act.allowed_permissions = [action.permission]  # type: ignore[attr-defined]
    return act
