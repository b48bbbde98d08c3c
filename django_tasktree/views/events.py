"""The view that sends an event to a run by POST. It relies on the CSRF protection of the project."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from django_tasktree.client.tree_result import TreeResult
from django_tasktree.encoding.strict_json import read_json
from django_tasktree.exceptions import InvalidOption, InvalidParameter, InvalidText, NotPossible, SerializationError
from django_tasktree.reporting.refusals import refusal_text
from django_tasktree.views.access import may_send_events, visible_run
from django_tasktree.views.answers import answer, error, with_json_errors
from django_tasktree.views.status import status_json


@with_json_errors
@require_POST
def send_event(request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
    """Send an event to a run; the body of the request is its payload, as JSON.

    Args:
        request: a POST request; an empty body is the payload null.
        run_id: the run.
        name: the name of the event.
    """
    run = visible_run(request, run_id)
    if not may_send_events(request, run):
        raise PermissionDenied(_("You do not have permission for this action on this run."))
    try:
        payload = read_json(request.body) if request.body else None
    except ValueError as exc:
        return error(400, _("The body is not JSON: %(error)s.") % {"error": exc})
    handle = TreeResult(run.pk)
    try:
        handle.send_event(name, payload, by=request.user)
    except InvalidParameter as exc:
        return error(400, str(exc), fields=exc.errors)
    except (InvalidOption, InvalidText, SerializationError) as exc:
        return error(400, str(exc))
    except NotPossible as exc:
        return error(409, refusal_text(exc))
    return answer({"event": name, "run": status_json(handle.run)})
