"""The page of a signed link, which completes a wait node without a login."""

import logging
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from django_tasktree.client.completion_links import complete_linked, linked_node
from django_tasktree.conf import settings
from django_tasktree.definitions.payload_forms import payload_form
from django_tasktree.definitions.payloads import CleanedPayload
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import InvalidParameter, TaskTreeError
from django_tasktree.reporting.refusals import refusal_text

logger = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
def complete_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show the form of a wait node to everybody who has the link; by POST, complete the node.

    Raises:
        Http404: the setting ``COMPLETION_LINKS`` is off.
    """
    if not settings.completion_links:
        raise Http404(_("This link is invalid or has expired."))
    response = _answered(request, token)
    add_never_cache_headers(response)
    return response


def _answered(request: HttpRequest, token: str) -> HttpResponse:
    node = linked_node(token)
    if node is None or node.wait is None:
        return _over(request)
    spec = WaitSpec.read(node.wait)
    page = {"node": node, "spec": spec, "heading": spec.heading(node.title)}
    is_sent = request.method == "POST"
    try:
        form = payload_form(spec, *((request.POST, request.FILES) if is_sent else ()))
    except InvalidParameter as exc:
        # The form does not exist any more. That is not the fault of the person who has the link.
        logger.error("node %s can't be completed by a link: %s", node.id, exc)  # noqa: TRY400  the text says everything
        return render(request, _TEMPLATE, {**page, "is_broken": True}, status=500)
    refusal = ""
    if is_sent and (form is None or form.is_valid()):
        try:
            complete_linked(node, _payload_of(form))
        except TaskTreeError as exc:
            if linked_node(token) is None:
                # Somebody else was faster, or its time has passed.
                return _over(request)
            refusal = refusal_text(exc)
        else:
            return render(request, _TEMPLATE, {**page, "is_done": True})
    return render(request, _TEMPLATE, {**page, "form": form, "refusal": refusal})


def _over(request: HttpRequest) -> HttpResponse:
    return render(request, _TEMPLATE, {"is_over": True}, status=410)


def _payload_of(form: forms.BaseForm | None) -> Any:
    return None if form is None else CleanedPayload(form.cleaned_data)


_TEMPLATE = "django_tasktree/completion_page.html"
