"""The page of a signed link, which completes a wait node without a login."""

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from django_tasktree.client.completion_links import linked_node
from django_tasktree.client.node_result import NodeResult
from django_tasktree.conf import settings
from django_tasktree.definitions.payload_forms import payload_form
from django_tasktree.definitions.payloads import CleanedPayload
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import TaskTreeError
from django_tasktree.models import NodeRun
from django_tasktree.reporting.refusals import refusal_text


@require_http_methods(["GET", "HEAD", "POST"])
def complete_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show the form of a wait node to everybody who has the link; by POST, complete the node.

    Raises:
        Http404: the setting ``COMPLETION_LINKS`` is off.
    """
    if not settings.completion_links:
        raise Http404(_("This link is invalid or has expired."))
    response = _answered(request, linked_node(token))
    add_never_cache_headers(response)
    return response


def _answered(request: HttpRequest, node: NodeRun | None) -> HttpResponse:
    if node is None or node.wait is None:
        return render(request, _TEMPLATE, {"is_over": True}, status=410)
    form = payload_form(WaitSpec.read(node.wait), request.POST if request.method == "POST" else None)
    refusal = ""
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            NodeResult(node.id).complete(_payload_of(form), by="link")
        except TaskTreeError as exc:
            refusal = refusal_text(exc)
        else:
            return render(request, _TEMPLATE, {"node": node, "is_done": True})
    return render(request, _TEMPLATE, {"node": node, "form": form, "refusal": refusal})


def _payload_of(form: forms.BaseForm | None) -> Any:
    return None if form is None else CleanedPayload(form.cleaned_data)


_TEMPLATE = "django_tasktree/completion_page.html"
