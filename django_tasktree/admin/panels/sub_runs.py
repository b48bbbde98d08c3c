"""Links between a node and its sub-run."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasktree.admin import rendering
from django_tasktree.admin.addresses import page_address
from django_tasktree.models import NodeRun, TreeRun

#: Returns whether the user may see the page of a row: a function of its model and the row.
MayView = Callable[[type[Model], Any], bool]


def sub_run_of(node: NodeRun, site: str, may_view: MayView) -> Any:
    """Return the title of a node's sub-run with its state, linked if the user may see it; empty if it has none.

    Args:
        node: the node.
        site: the name of the admin site.
        may_view: whether the user may see a row.
    """
    if node.sub_run_id is None:
        return ""
    run: TreeRun | None = TreeRun.objects.defer("returns").filter(id=node.sub_run_id).first()
    if run is None:
        return format_html(_("{}, which was deleted"), node.sub_run_id)
    return format_html("{} {}", _run_link(run, site, may_view), rendering.run_badge(run))


def started_by(run: TreeRun, site: str, may_view: MayView) -> Any:
    """Return the node that has started a sub-run, and its run, linked if the user may see them.

    It is empty for any other run. The arguments are those of :func:`sub_run_of`.
    """
    if run.parent_run_id is None:
        return ""
    node = NodeRun.objects.filter(id=run.parent_node_id).select_related("run").only(*_COLUMNS).first()
    if node is None:
        return format_html(_("{}, which was deleted"), run.parent_node_id)
    return format_html(_("{} of run {}"), _node_link(node, site, may_view), _run_link(node.run, site, may_view))


_COLUMNS = ("label", "task", "run__name")


def _run_link(run: TreeRun, site: str, may_view: MayView) -> SafeString | str:
    if not may_view(TreeRun, run):
        return rendering.run_title(run)
    page = page_address(site, "treerun_change", run.pk)
    return format_html('<a href="{}">{}</a>', page, rendering.run_title(run))


def _node_link(node: NodeRun, site: str, may_view: MayView) -> SafeString | str:
    if not may_view(NodeRun, node):
        return node.title
    return format_html('<a href="{}">{}</a>', page_address(site, "noderun_change", node.pk), node.title)
