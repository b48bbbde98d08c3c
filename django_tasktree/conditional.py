"""Answers to those who look again and again."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag


def conditional(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Give the answer an ETag; whoever has it already is told so in a few bytes."""
    patch_cache_control(response, private=True, no_cache=True)
    set_response_etag(response)
    return get_conditional_response(request, etag=response["ETag"], response=response) or response
