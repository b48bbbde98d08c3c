"""Steering by POST: the verbs of the handles, with previews; CSRF protection is that of the project."""

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from django_tasktree.control_form import ControlForm
from django_tasktree.effect_texts import effect_texts
from django_tasktree.exceptions import NotPossible, SerializationError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.result import NodeResult, TreeResult
from django_tasktree.verbs import Verb, verbs_of_nodes, verbs_of_runs
from django_tasktree.views.access import may_steer, visible_run
from django_tasktree.views.answers import answer, error, with_json_errors
from django_tasktree.views.status import status_json

#: What stands for yes, in a form or in JSON.
_YES = ("1", "true", "yes", "on")


@with_json_errors
@require_POST
def control_run(request: HttpRequest, run_id: UUID, verb: str) -> HttpResponse:
    """Ask a verb of a run."""
    run = visible_run(request, run_id)
    return _ask(request, run, TreeResult(run.id), _verb(verb, verbs_of_runs()))


@with_json_errors
@require_POST
def control_node(request: HttpRequest, node_id: UUID, verb: str) -> HttpResponse:
    """Ask a verb of a node, with all below it."""
    node = NodeRun.objects.filter(id=node_id).values("run_id").first()
    if node is None:
        raise Http404(_("There is no node %(node)s, or you may not see it.") % {"node": node_id})
    run = visible_run(request, node["run_id"])
    return _ask(request, run, NodeResult(node_id), _verb(verb, verbs_of_nodes()))


def _ask(request: HttpRequest, run: TreeRun, handle: Any, verb: Verb) -> HttpResponse:
    if not may_steer(request, run):
        raise PermissionDenied(_("You may not steer this run."))
    try:
        values = _values(request)
    except ValueError as exc:
        return error(400, str(exc))
    form = ControlForm(verb, values)
    if not form.is_valid():
        return error(400, _("Some options are not valid."), fields=form.errors)
    previewed = str(values.get("preview", "")).lower() in _YES
    try:
        # A preview is about what would be done, not with which result.
        effect = verb.preview(handle) if previewed else verb.ask(handle, by=request.user, **form.cleaned_data)
    except (NotPossible, SerializationError) as exc:
        return error(409 if isinstance(exc, NotPossible) else 400, str(exc))
    run.refresh_from_db()
    return answer(
        {
            "verb": verb.name,
            "preview": previewed,
            "effect": asdict(effect),
            "texts": effect_texts(effect),
            "run": status_json(run),
        }
    )


def _verb(name: str, verbs: list[Verb]) -> Verb:
    known = {verb.name: verb for verb in verbs}
    if name not in known:
        text = _("There is no verb “%(name)s” here: it is one of %(known)s.")
        raise Http404(text % {"name": name, "known": ", ".join(known)})
    return known[name]


def _values(request: HttpRequest) -> dict[str, Any]:
    """Read the body, JSON or a form.

    Raises:
        ValueError: it says that it is JSON, and is not, or holds no object.
    """
    if request.content_type != "application/json":
        return request.POST.dict()
    try:
        values = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as exc:
        raise ValueError(_("The body is not JSON: %(error)s.") % {"error": exc}) from exc
    if not isinstance(values, dict):
        raise ValueError(_("The body is no JSON object."))  # noqa: TRY004  bad input, not a wrong call
    # The form reads a result from its text.
    return {**values, "result": json.dumps(values["result"])} if "result" in values else values
