"""The pages that ask before a run or a node, or several, are steered; and what does it then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_tasktree.admin.page_context import page_context
from django_tasktree.admin.read_only import Admin
from django_tasktree.admin.refusals import refusal_text
from django_tasktree.bulk_steering import permission_of, permission_to, steer_in_background
from django_tasktree.control_form import ControlForm
from django_tasktree.effect_texts import effect_texts, total
from django_tasktree.engine.specs import Effect
from django_tasktree.exceptions import TaskTreeError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.number_texts import number_text
from django_tasktree.result import NodeResult, TreeResult
from django_tasktree.verbs import Verb, verbs_of_nodes, verbs_of_runs

#: So many are shown with a preview of each, and steered at once; more are steered in the background.
MOST = 200
#: Actions that affect more nodes than this run in a worker, if they are among ``LONG``.
AT_ONCE = 10_000
#: The verbs that take long where many nodes are concerned. What stops something never waits for a worker.
LONG = frozenset({"retry", "rerun"})


@dataclass
class Asked:
    """One run or node, and what would become of it.

    Attributes:
        title: names it.
        link: its page.
        effect: what would be done; None where that is refused.
        refusal: why.
        more: further sentences about it.
    """

    title: str
    link: str
    effect: Effect | None = None
    refusal: str = ""
    more: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """What would be done."""
        return [*effect_texts(self.effect), *self.more] if self.effect is not None else []


@dataclass
class Confirmation:
    """A page that asks."""

    verb: Verb
    asked: list[Asked]
    form: ControlForm
    hidden: list[tuple[str, Any]] = field(default_factory=list)
    #: How many rows are asked in the background, where these are too many to be shown.
    number: int = 0

    @property
    def fitting(self) -> list[Asked]:
        """Those that it fits."""
        return [one for one in self.asked if one.effect is not None]

    @property
    def may_be_confirmed(self) -> bool:
        """Whether there is anything to confirm."""
        return bool(self.number or self.fitting)

    @property
    def is_large(self) -> bool:
        """Whether the action runs in a worker instead of in the request."""
        effects = [one.effect for one in self.asked if one.effect is not None]
        return bool(self.number) or (self.verb.name in LONG and total(effects).moved > AT_ONCE)

    @property
    def texts(self) -> list[str]:
        """What would be done to all of them together."""
        return effect_texts(total(one.effect for one in self.asked if one.effect is not None))


class ControlPages(Admin):
    """Adds them to the admin of runs and to that of nodes."""

    def has_control_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's manner
        """Tell whether the user may steer this run or node, or any at all; a hook, like Django's own."""
        return request.user.has_perm("django_tasktree.control_treerun")

    def has_verb_permission(self, request: HttpRequest, verb: Verb, obj: Any = None) -> bool:  # noqa: ARG002
        """Tell whether the user may ask for this."""
        return self.has_control_permission(request, obj)

    def known_verbs(self) -> dict[str, Verb]:
        """All that may be asked of such rows, by name."""
        return {verb.name: verb for verb in (verbs_of_runs() if self.model is TreeRun else verbs_of_nodes())}

    def verbs_for(self, row: Any) -> list[Verb]:
        """The verbs that are worth being offered for a row."""
        raise NotImplementedError

    def title_of(self, row: Any) -> str:
        """Name a row."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """Put the pages before those of single rows, which take any path."""
        name = f"django_tasktree_{self.opts.model_name}_control"
        return [
            path("<uuid:key>/control/<slug:verb>/", self.admin_site.admin_view(self.control_view), name=name),
            *super().get_urls(),
        ]

    def buttons(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        """The buttons that a row's page shows to this user."""
        name = f"admin:django_tasktree_{self.opts.model_name}_control"
        site = self.admin_site.name
        return [
            {"verb": verb, "link": reverse(name, args=[row.pk, verb.name], current_app=site)}
            for verb in self.verbs_for(row)
            if self._may_ask(request, verb, row)
        ]

    def control_view(self, request: HttpRequest, key: Any, verb: str) -> HttpResponse:
        """Ask about one row, and do it when the answer is yes.

        Raises:
            Http404: there is no such row or verb.
            PermissionDenied: the user may not see it, or not ask for that.
        """
        row = self.get_queryset(request).filter(pk=key).first()
        found = self.known_verbs().get(verb)
        if row is None or found is None:
            raise Http404(f"{self.opts.verbose_name} {key}: {verb}")
        if not self._may(request, found, row):
            raise PermissionDenied
        page = self.confirm(request, found, [row], "confirmed" in request.POST)
        return page or HttpResponseRedirect(self.page_after(request, row))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        """Lead to the page of the row, which has its history."""
        name = f"admin:django_tasktree_{self.opts.model_name}_change"
        page = reverse(name, args=[object_id], current_app=self.admin_site.name)
        return HttpResponseRedirect(f"{page}#history")

    def page_after(self, request: HttpRequest, row: Any) -> str:  # noqa: ARG002  Django's manner
        """Where to go once it was done."""
        return self._page_of(row)

    def confirm(
        self,
        request: HttpRequest,
        verb: Verb,
        rows: Sequence[Any],
        confirmed: bool,
        hidden: Iterable[tuple[str, Any]] = (),
    ) -> HttpResponse | None:
        """Show the page that asks; or do it, where that is confirmed.

        Returns:
            None where it was done.
        """
        form = ControlForm(verb, request.POST if confirmed else None)
        if confirmed and form.is_valid():
            page = Confirmation(verb, self._previews(verb, rows) if verb.name in LONG else [], form)
            if page.is_large:
                return self.do_later(request, verb, [row.pk for row in rows], form)
            self._do(request, verb, rows, form.cleaned_data)
            return None
        page = Confirmation(verb, self._previews(verb, rows), form, list(hidden))
        return self._asking(request, page)

    def confirm_many(
        self, request: HttpRequest, verb: Verb, queryset: Any, hidden: Iterable[tuple[str, Any]]
    ) -> HttpResponse:
        """Show the page that asks about more rows than it can show; or let a worker do it, where that is confirmed.

        Raises:
            PermissionDenied: there is a row of which the user may not ask for it.
        """
        confirmed = "confirmed" in request.POST
        form = ControlForm(verb, request.POST if confirmed else None)
        if confirmed and form.is_valid():
            keys = []
            for row in queryset.iterator(chunk_size=2_000):
                if not self._may(request, verb, row):
                    raise PermissionDenied
                keys.append(row.pk)
            return self.do_later(request, verb, keys, form)
        return self._asking(request, Confirmation(verb, [], form, list(hidden), queryset.count()))

    def do_later(self, request: HttpRequest, verb: Verb, keys: Sequence[UUID], form: ControlForm) -> HttpResponse:
        """Launch a run that does it, and go to its page."""
        name = f"{verb.label}: {self._counted(len(keys))}"
        try:
            result = steer_in_background(self.model, keys, verb.name, by=request.user, name=name, **form.cleaned_data)
        except TaskTreeError as exc:
            messages.error(request, refusal_text(exc))
            return HttpResponseRedirect(self._list_page())
        run = result.run
        self.log_addition(request, run, f"{name}.")
        messages.info(request, _("A worker does this in the background; this page shows its progress."))
        site = self.admin_site
        if not (site.is_registered(TreeRun) and site.get_model_admin(TreeRun).has_view_permission(request, run)):
            return HttpResponseRedirect(self._list_page())
        page = reverse("admin:django_tasktree_treerun_change", args=[run.pk], current_app=self.admin_site.name)
        return HttpResponseRedirect(page)

    def _previews(self, verb: Verb, rows: Sequence[Any]) -> list[Asked]:
        return [self._preview(verb, row) for row in rows]

    def _asking(self, request: HttpRequest, page: Confirmation) -> HttpResponse:
        return TemplateResponse(request, "admin/django_tasktree/control.html", self._context(request, page))

    def _may(self, request: HttpRequest, verb: Verb, row: Any) -> bool:
        return self.has_view_permission(request, row) and self._may_ask(request, verb, row)

    def _may_ask(self, request: HttpRequest, verb: Verb, row: Any) -> bool:
        """Whoever steers a run that steers others needs the permission for what that does, too."""
        if not self.has_verb_permission(request, verb, row):
            return False
        for_others = permission_of(row if isinstance(row, TreeRun) else row.run)
        return for_others is None or request.user.has_perm(for_others)

    def _page_of(self, row: Any) -> str:
        name = f"admin:django_tasktree_{self.opts.model_name}_change"
        return reverse(name, args=[row.pk], current_app=self.admin_site.name)

    def _preview(self, verb: Verb, row: Any) -> Asked:
        one = Asked(self.title_of(row), self._page_of(row))
        try:
            one.effect, one.more = self.preview(verb, row)
        except TaskTreeError as exc:
            one.refusal = refusal_text(exc, {row.pk: one.title})
        return one

    def preview(self, verb: Verb, row: Any) -> tuple[Effect, list[str]]:
        """Tell what would be done to a row, and what else there is to say.

        Raises:
            TaskTreeError: it does not fit.
        """
        return verb.preview(handle_of(row)), []

    def act(self, request: HttpRequest, verb: Verb, row: Any, options: dict[str, Any]) -> Effect:
        """Do it to one row.

        Raises:
            TaskTreeError: it does not fit.
        """
        return verb.ask(handle_of(row), by=request.user, **options)

    def _do(self, request: HttpRequest, verb: Verb, rows: Sequence[Any], options: dict[str, Any]) -> None:
        effects = [effect for row in rows if (effect := self._do_one(request, verb, row, options)) is not None]
        if effects:
            self._tell(request, verb, effects)

    def _do_one(self, request: HttpRequest, verb: Verb, row: Any, options: dict[str, Any]) -> Effect | None:
        try:
            effect = self.act(request, verb, row, options)
        except TaskTreeError as exc:
            messages.error(request, refusal_text(exc, {row.pk: self.title_of(row)}))
            return None
        self.log_done(request, verb, row)
        return effect

    def log_done(self, request: HttpRequest, verb: Verb, row: Any) -> None:
        """Write it into the admin's log."""
        self.log_change(request, row, f"{verb.label}.")

    def _tell(self, request: HttpRequest, verb: Verb, effects: list[Effect]) -> None:
        done = [f"{verb.label}: {self._counted(len(effects))}", *effect_texts(total(effects))]
        messages.success(request, "; ".join(done) + ".")

    def _tell_of_missing(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Say how many of those that were chosen do not exist any more."""
        chosen = set(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
        missing = len(chosen - {str(row.pk) for row in rows})
        if missing:
            text = ngettext(
                "%(number)s of those that were chosen does not exist any more, or does not match the filter any more.",
                "%(number)s of those that were chosen do not exist any more, or do not match the filter any more.",
                missing,
            )
            messages.warning(request, text % {"number": missing})

    def _counted(self, number: int) -> str:
        if self.model is NodeRun:
            return ngettext("%(number)s node", "%(number)s nodes", number) % {"number": number_text(number)}
        return ngettext("%(number)s run", "%(number)s runs", number) % {"number": number_text(number)}

    def _context(self, request: HttpRequest, page: Confirmation) -> dict[str, Any]:
        asked = page.asked[0].title if len(page.asked) == 1 else self._counted(page.number or len(page.asked))
        title = f"{page.verb.label}: {asked}"
        return {
            **page_context(self, request, title),
            "page": page,
            "single": page.asked[0] if len(page.asked) == 1 else None,
            "back": page.asked[0].link if len(page.asked) == 1 else self._list_page(),
        }

    def _list_page(self) -> str:
        return reverse(f"admin:django_tasktree_{self.opts.model_name}_changelist", current_app=self.admin_site.name)


def handle_of(row: Any) -> TreeResult | NodeResult:
    """Give the handle that takes the verbs."""
    return TreeResult(row.pk) if isinstance(row, TreeRun) else NodeResult(row.pk)


def bulk_action(verb: Verb) -> Any:
    """Make the action of a list of runs or nodes; it asks first."""

    def act(admin: ControlPages, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        rows = list(queryset[: MOST + 1])
        if len(rows) > MOST:
            chosen = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
            across = [("select_across", request.POST.get("select_across", "0"))]
            # Django asks for one at least, even where all that the filter finds are meant.
            some = chosen[:1] if across[0][1] == "1" else chosen
            hidden = [("action", act.__name__), *across, *((helpers.ACTION_CHECKBOX_NAME, key) for key in some)]
            return admin.confirm_many(request, verb, queryset, hidden)
        if not all(admin._may(request, verb, row) for row in rows):
            raise PermissionDenied
        admin._tell_of_missing(request, rows)
        if not rows:
            return None
        hidden = [
            ("action", act.__name__),
            *((helpers.ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows),
        ]
        return admin.confirm(request, verb, rows, "confirmed" in request.POST, hidden)

    # Of this name, so that it stands for the stock action that deletes, which would load each run's whole tree.
    act.__name__ = "delete_selected" if verb.name == "delete" else f"{verb.name}_chosen"
    act.short_description = verb.label  # type: ignore[attr-defined]
    act.allowed_permissions = [permission_to(verb.name)]  # type: ignore[attr-defined]
    return act
