"""Who may see and control a run: the functions that two settings name, and their defaults."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_tasktree.client.bulk import permission_of
from django_tasktree.conf import settings
from django_tasktree.control.actions import ANSWER, ActionType, is_answer
from django_tasktree.models import NodeRun, TreeRun


def default_may_view_run(request: HttpRequest, run: TreeRun) -> bool:
    """Return whether the user launched the run or has the permission ``view_treerun``."""
    user: Any = request.user
    if not user.is_authenticated:
        return False
    return bool(run.launched_by_id == user.pk or user.has_perm("django_tasktree.view_treerun"))


def default_may_control_run(request: HttpRequest, _run: TreeRun) -> bool:
    """Return whether the user has the permission ``control_treerun``."""
    return request.user.has_perm("django_tasktree.control_treerun")


def may_see(request: HttpRequest, run: TreeRun) -> bool:
    """Return the answer of the function in the setting ``MAY_VIEW_RUN``."""
    return bool(_function(settings.may_view_run)(request, run))


def may_act(request: HttpRequest, run: TreeRun, action: ActionType, node: NodeRun | None = None) -> bool:
    """Return the answer of the function in ``MAY_CONTROL_RUN``.

    True if the action completes a wait node and the user has the permission for that. False if the action needs a
    permission of its own which the user lacks, or if the run itself acts on other runs and the user lacks the
    permission for that action.
    """
    if is_answer(action, node) and request.user.has_perm(ANSWER):
        return True
    own = None if action.permission == "control" else action.full_permission
    if not request.user.has_perms([needed for needed in (own, permission_of(run)) if needed is not None]):
        return False
    return bool(_function(settings.may_control_run)(request, run))


def may_send_events(request: HttpRequest, run: TreeRun) -> bool:
    """Return whether the user may send events to a run: with the permission to complete wait nodes or to control it."""
    return request.user.has_perm(ANSWER) or bool(_function(settings.may_control_run)(request, run))


def visible_run(request: HttpRequest, run_id: UUID) -> TreeRun:
    """Return a run that the user may see.

    Raises:
        Http404: the run does not exist or is not visible (not distinguished, to avoid disclosure).
    """
    run: TreeRun | None = TreeRun.objects.filter(id=run_id).defer("returns").first()
    if run is None or not may_see(request, run):
        raise Http404(_("There is no run %(run)s, or you may not see it.") % {"run": run_id})
    return run


def _function(named: str | Callable[[HttpRequest, TreeRun], bool]) -> Callable[[HttpRequest, TreeRun], bool]:
    if callable(named):
        return named
    function: Callable[[HttpRequest, TreeRun], bool] = import_string(named)
    return function
