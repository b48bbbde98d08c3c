"""Links from the rows of a tree to the forms that complete wait nodes."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest

from django_tasktree.admin.pages.control import ControlPage
from django_tasktree.admin.tree.row import GapRow, TreeRow
from django_tasktree.control.actions import node_actions
from django_tasktree.models import NodeRun

_COMPLETE = node_actions()["complete"]


def with_answers(rows: Iterable[TreeRow | GapRow], site: AdminSite, request: HttpRequest) -> list[Any]:
    """Return rows of a tree; those of nodes that wait for an answer link to the form, if the user may use it.

    Args:
        rows: the rows.
        site: the admin site, on which nodes are registered.
        request: the request of the user.
    """
    admin: Any = site.get_model_admin(NodeRun)
    control = admin.page("control", ControlPage, request)
    found = []
    for row in rows:
        if isinstance(row, TreeRow) and row.awaits_answer and _may_be_completed(row):
            # The rows of a tree are read without their run.
            row.node.run = row.run
            if control.may_view_and_act(request, _COMPLETE, row.node):
                row = replace(row, answer=admin.address("control", row.node.pk, _COMPLETE.name))
        found.append(row)
    return found


def _may_be_completed(row: TreeRow) -> bool:
    fits = _COMPLETE.may_fit_node
    return fits is not None and fits(row.node, row.run)
