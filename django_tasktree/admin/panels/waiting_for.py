"""Explain why a node has not started."""

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasktree.admin.addresses import page_address
from django_tasktree.admin.rendering import moment
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.rules import IS_FREE, MAY_START
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FINAL, NOT_STARTED, Hold, NodeState, RunState


def waiting_for(node: NodeRun, site: str) -> list[Any]:
    """Return why a node has not started, according to its row and the rows of its parent and its run.

    Args:
        node: the node, loaded with its parent and its run.
        site: the name of the admin site, for links.

    Returns:
        Short phrases. Empty if the run has ended, the node has started, or no reason is known.
    """
    if node.run.is_over or node.state not in NOT_STARTED:
        return []
    return [*_held(node), *_next(node, site)]


def _held(node: NodeRun) -> list[Any]:
    found: list[Any] = []
    if node.run.state == RunState.DRAFT:
        due = node.run.eta and format_html(_("the time at which the run is launched, {}"), moment(node.run.eta))
        found.append(due or _("the launch of the draft"))
    if node.run.state == RunState.PAUSED:
        found.append(_("the run to be resumed"))
    if node.run.state == RunState.CHANGING:
        found.append(_("the end of an action on many nodes of the run"))
    if node.hold == Hold.PAUSED:
        found.append(_("the node to be resumed"))
    return found


def _next(node: NodeRun, site: str) -> list[Any]:
    if node.state == NodeState.WAITING and node.wait is not None:
        return _awaited(node, WaitSpec.read(node.wait))
    if node.state == NodeState.WAITING:
        return [_("the end of its sub-run")]
    if node.state != NodeState.PENDING:
        due = [format_html(_("its time, {}"), moment(node.eta))] if node.eta is not None else []
        return due or ([_("its next attempt")] if node.state == NodeState.RETRY else [_("a worker")])
    if node.parent is not None and node.parent.state not in NODE_FINAL:
        return [format_html(_("the end of {}"), _link(node.parent, site))]
    if node.is_gather and not node.runnable:
        if node.parent is None:
            return [_("all other root nodes, and what is below them")]
        return [format_html(_("all else below {}"), _link(node.parent, site))]
    if node.runnable and IS_FREE.holds(node) and not MAY_START.holds(node):
        return [_("a free place: its limit of active nodes is reached")]
    return []


def _awaited(node: NodeRun, spec: WaitSpec) -> list[Any]:
    found: list[Any] = [_("the event “%(name)s”, or its completion") % {"name": spec.event}] if spec.event else []
    if node.eta is not None:
        text = _("its timeout, {}") if spec.event else _("its time, {}")
        found.append(format_html(text, moment(node.eta)))
    return found


def _link(node: NodeRun, site: str) -> SafeString:
    page = page_address(site, "noderun_change", node.pk)
    return format_html('<a href="{}">{}</a>', page, node.title)
