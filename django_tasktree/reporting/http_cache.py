"""HTTP responses for clients that poll."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag


def with_etag(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the response with an ETag, or a 304 response if the client has the same content already.

    Args:
        request: the client's request.
        response: the response; its headers are changed.
    """
    patch_cache_control(response, private=True, no_cache=True)
    set_response_etag(response)
    return get_conditional_response(request, etag=response["ETag"], response=response) or response
