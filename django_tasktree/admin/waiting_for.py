"""What a node that has not started waits for, in words."""

from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasktree.admin.rendering import moment
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FINAL, Hold, NodeState, RunState
from django_tasktree.text import short_name


def waiting_for(node: NodeRun, site: str) -> list[Any]:
    """Tell what keeps a node from starting, as far as its row, its parent's and its run's say.

    Args:
        node: with its parent and its run at hand.
        site: the name of the admin site, for links.

    Returns:
        Short phrases; none where the node waits for nothing, or for nothing any more.
    """
    if node.run.is_over or node.state not in (NodeState.PENDING, NodeState.QUEUED, NodeState.RETRY):
        return []
    return [*_held(node), *_next(node, site)]


def _held(node: NodeRun) -> list[Any]:
    found: list[Any] = []
    if node.run.state == RunState.DRAFT:
        due = node.run.eta and format_html(_("the time at which the run is launched, {}"), moment(node.run.eta))
        found.append(due or _("somebody who launches the draft"))
    if node.run.state == RunState.PAUSED:
        found.append(_("somebody who resumes the run"))
    if node.hold == Hold.PAUSED:
        found.append(_("somebody who resumes it"))
    return found


def _next(node: NodeRun, site: str) -> list[Any]:
    if node.state != NodeState.PENDING:
        due = [format_html(_("its time, {}"), moment(node.eta))] if node.eta is not None else []
        return due or ([_("its next attempt")] if node.state == NodeState.RETRY else [_("a worker")])
    if node.parent is not None and node.parent.state not in NODE_FINAL:
        return [format_html(_("the end of {}"), _link(node.parent, site))]
    if node.is_gather and not node.ready:
        if node.parent is None:
            return [_("all other root nodes, and what is below them")]
        return [format_html(_("all else below {}"), _link(node.parent, site))]
    if node.ready and node.limiter is not None and node.run.state == RunState.STARTED and node.hold == Hold.NONE:
        return [_("a free place: its limit of active nodes is reached")]
    return []


def _link(node: NodeRun, site: str) -> SafeString:
    page = reverse("admin:django_tasktree_noderun_change", args=[node.pk], current_app=site)
    return format_html('<a href="{}">{}</a>', page, short_name(node.task))
