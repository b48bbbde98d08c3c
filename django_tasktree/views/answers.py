"""JSON answers: their version, their errors, and that they are sent only where something has changed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils.translation import gettext as _

#: Counted up when something is taken away or changes its meaning; what is added leaves it as it is.
VERSION = 1

View = Callable[..., HttpResponse]


def answer(content: dict[str, Any], status: int = 200) -> JsonResponse:
    """Answer with JSON that tells its version."""
    return JsonResponse({"version": VERSION, **content}, status=status)


def error(status: int, message: str, **more: Any) -> JsonResponse:
    """Answer with an error."""
    return answer({"error": {"message": message, **more}}, status)


def _or_not_allowed(response: HttpResponse) -> HttpResponse:
    """Turn Django's answer to a wrong method, which is empty, into JSON."""
    if not isinstance(response, HttpResponseNotAllowed):
        return response
    found = error(405, _("This address takes %(methods)s.") % {"methods": response["Allow"]})
    found["Allow"] = response["Allow"]
    return found


def with_json_errors(view: View) -> View:
    """Let a view's refusals be JSON as its answers are."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return _or_not_allowed(view(request, *args, **kwargs))
        except Http404 as exc:
            return error(404, str(exc))
        except PermissionDenied as exc:
            return error(403, str(exc))

    return wrapped
