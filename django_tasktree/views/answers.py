"""JSON responses with the version of their format, and errors as JSON."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils.translation import gettext as _

#: The version of the format: incremented if a key is removed or changes its meaning, but not if one is added.
VERSION = 1

View = Callable[..., HttpResponse]


def answer(content: dict[str, Any], status: int = 200) -> JsonResponse:
    """Return a JSON response with the version of the format."""
    return JsonResponse({"version": VERSION, **content}, status=status)


def error(status: int, message: str, **more: Any) -> JsonResponse:
    """Return an error as a JSON response.

    Args:
        status: the HTTP status.
        message: the text for people.
        **more: further keys of the error.
    """
    return answer({"error": {"message": message, **more}}, status)


def _or_not_allowed(response: HttpResponse) -> HttpResponse:
    """Return a response unchanged, but replace Django's empty response to a wrong method by a JSON error."""
    if not isinstance(response, HttpResponseNotAllowed):
        return response
    refused = error(405, _("Method not allowed. Use %(methods)s.") % {"methods": response["Allow"]})
    refused["Allow"] = response["Allow"]
    return refused


def with_json_errors(view: View) -> View:
    """Decorate a view so that its responses to errors 403, 404 and 405 are JSON."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return _or_not_allowed(view(request, *args, **kwargs))
        except Http404 as exc:
            return error(404, str(exc))
        except PermissionDenied as exc:
            return error(403, str(exc))

    return wrapped
