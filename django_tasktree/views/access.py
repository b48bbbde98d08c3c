"""Who may see a run, and who may steer it: two settings name functions; these are the defaults."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_tasktree.bulk_steering import permission_of
from django_tasktree.conf import settings
from django_tasktree.models import TreeRun


def launched_it_or_may_view(request: HttpRequest, run: TreeRun) -> bool:
    """Let those see a run who launched it, or have the permission ``view_treerun``."""
    user: Any = request.user
    if not user.is_authenticated:
        return False
    return bool(run.launched_by_id == user.pk or user.has_perm("django_tasktree.view_treerun"))


def may_control(request: HttpRequest, _run: TreeRun) -> bool:
    """Let those steer a run who have the permission ``control_treerun``."""
    return request.user.has_perm("django_tasktree.control_treerun")


def may_see(request: HttpRequest, run: TreeRun) -> bool:
    """Ask what the setting ``MAY_VIEW_RUN`` names."""
    return bool(_function(settings.may_view_run)(request, run))


def may_steer(request: HttpRequest, run: TreeRun) -> bool:
    """Ask what the setting ``MAY_CONTROL_RUN`` names."""
    for_others = permission_of(run)
    if for_others is not None and not request.user.has_perm(for_others):
        return False
    return bool(_function(settings.may_control_run)(request, run))


def visible_run(request: HttpRequest, run_id: UUID) -> TreeRun:
    """Read a run for whoever asks.

    Raises:
        Http404: there is none, or they may not see it: which of the two is not told.
    """
    run: TreeRun | None = TreeRun.objects.filter(id=run_id).first()
    if run is None or not may_see(request, run):
        raise Http404(_("There is no run %(run)s, or you may not see it.") % {"run": run_id})
    return run


def _function(named: str | Callable[[HttpRequest, TreeRun], bool]) -> Callable[[HttpRequest, TreeRun], bool]:
    if callable(named):
        return named
    found: Callable[[HttpRequest, TreeRun], bool] = import_string(named)
    return found
