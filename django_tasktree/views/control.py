"""Views that carry out or preview actions by POST. They rely on the CSRF protection of the project."""

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.forms import BooleanField
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from django_tasktree.client.node_result import NodeResult
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.control.actions import ActionType, Done, node_actions, run_actions
from django_tasktree.control.descriptions import describe_effect
from django_tasktree.control.forms import ControlForm
from django_tasktree.encoding.strict_json import read_json
from django_tasktree.encoding.yes_no import is_yes
from django_tasktree.exceptions import InvalidParameter, NotPossible, SerializationError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import paths_of
from django_tasktree.reporting.refusals import refusal_text
from django_tasktree.views.access import may_act, visible_run
from django_tasktree.views.answers import answer, error, with_json_errors
from django_tasktree.views.node_lookup import find_node
from django_tasktree.views.status import status_json


@with_json_errors
@require_POST
def control_run(request: HttpRequest, run_id: UUID, action: str) -> HttpResponse:
    """Carry out or preview an action on a run.

    Args:
        request: a POST request with the options of the action, as a form or as JSON, and ``preview``.
        run_id: the run.
        action: the name of the action.
    """
    run = visible_run(request, run_id)
    return _act(request, run, TreeResult(run.id), _find(action, run_actions()))


@with_json_errors
@require_POST
def control_node(request: HttpRequest, node_id: UUID, action: str) -> HttpResponse:
    """Carry out or preview an action on a node with its subtree.

    Args:
        request: see :func:`control_run`.
        node_id: the node.
        action: the name of the action.
    """
    node = NodeRun.objects.filter(id=node_id).only("run_id", "wait").first()
    if node is None:
        raise Http404(_("There is no node %(node)s, or you may not see it.") % {"node": node_id})
    run = visible_run(request, node.run_id)
    return _act(request, run, NodeResult(node_id), _find(action, node_actions()), node)


@with_json_errors
@require_POST
def control_node_of_run(request: HttpRequest, run_id: UUID, node: str, action: str) -> HttpResponse:
    """Carry out or preview an action on a node with its subtree.

    Args:
        request: see :func:`control_run`.
        run_id: the run.
        node: the ID or the path of the node.
        action: the name of the action.
    """
    run = visible_run(request, run_id)
    found = find_node(run, node, "run_id", "wait")
    return _act(request, run, NodeResult(found.id), _find(action, node_actions()), found)


def _act(
    request: HttpRequest, run: TreeRun, handle: Any, action: ActionType, node: NodeRun | None = None
) -> HttpResponse:
    if not may_act(request, run, action, node):
        raise PermissionDenied(_("You do not have permission for this action on this run."))
    try:
        values = _values(request, [*action.options, "preview"])
        previewed = any(_is_yes("preview", one) for one in [*request.GET.getlist("preview"), values.get("preview")])
        values |= {name: _is_yes(name, values[name]) for name in _yes_or_no(action) if name in values}
    except ValueError as exc:
        return error(400, str(exc))
    form = ControlForm(action, values)
    if not form.is_valid():
        return error(400, _("Some options are not valid."), fields=form.errors)
    try:
        # A preview takes no options: they do not change the effect.
        done = (
            Done(handle.preview(action.name))
            if previewed
            else action.carry_out(handle, by=request.user, **form.cleaned_data)
        )
    except InvalidParameter as exc:
        return error(400, str(exc), fields=exc.errors)
    except (NotPossible, SerializationError) as exc:
        return error(409 if isinstance(exc, NotPossible) else 400, refusal_text(exc))
    return answer({**_answered(run, action, done, previewed), **_named(node)})


def _named(node: NodeRun | None) -> dict[str, Any]:
    """Return the ID and the path of the node on which an action was; None if it was on a run."""
    if node is None:
        return {"node": None, "path": None}
    return {"node": str(node.id), "path": paths_of([node.id]).get(node.id)}


def _answered(run: TreeRun, action: ActionType, done: Done, previewed: bool) -> dict[str, Any]:
    left = TreeRun.objects.filter(pk=run.pk).first()
    return {
        "action": action.name,
        "preview": previewed,
        "effect": asdict(done.effect),
        "texts": describe_effect(action.name, done.effect),
        "run": None if left is None else status_json(left),
        "copy": None if done.copy_id is None else str(done.copy_id),
    }


def _find(name: str, known: dict[str, ActionType]) -> ActionType:
    if name not in known:
        text = _("There is no action “%(name)s” here. Choose one of: %(known)s.")
        raise Http404(text % {"name": name, "known": ", ".join(known)})
    return known[name]


def _yes_or_no(action: ActionType) -> list[str]:
    """Return the names of the boolean options of an action."""
    return [name for name, field in ControlForm(action).fields.items() if isinstance(field, BooleanField)]


def _is_yes(name: str, value: Any) -> bool:
    """Return the value of a boolean option; False if it is not given or empty.

    Raises:
        ValueError: the text is neither yes nor no. The action must not be carried out then.
    """
    word = "" if value is None else str(value).strip().lower()
    try:
        return bool(word) and is_yes(word)
    except ValueError as exc:
        text = _("“%(value)s” is neither yes nor no: “%(name)s” takes true or false.")
        raise ValueError(text % {"value": word, "name": name}) from exc


def _values(request: HttpRequest, known: list[str]) -> dict[str, Any]:
    """Return the options in the body of a request, which is JSON or a form.

    Args:
        request: the request.
        known: the keys that the JSON may have. A form may have other fields, such as the CSRF token.

    Raises:
        ValueError: the content type is JSON, but the body is not valid JSON, not an object, or has an unknown key.
    """
    if request.content_type != "application/json":
        return request.POST.dict()
    try:
        values = read_json(request.body or b"{}")
    except ValueError as exc:
        raise ValueError(_("The body is not JSON: %(error)s.") % {"error": exc}) from exc
    if not isinstance(values, dict):
        raise ValueError(_("The body is not a JSON object."))  # noqa: TRY004  bad input, not a wrong call
    for name in values.keys() - known:
        # A misspelled "preview" would carry out the action.
        text = _("There is no option “%(name)s” here. Choose from: %(known)s.")
        raise ValueError(text % {"name": name, "known": ", ".join(known)})
    # The form parses a result from its text.
    return {**values, "result": json.dumps(values["result"])} if "result" in values else values
