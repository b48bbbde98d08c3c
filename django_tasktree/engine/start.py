"""Launch a draft."""

from uuid import UUID

from django.db.models import F

from django_tasktree import times
from django_tasktree.engine.moves import write_alias
from django_tasktree.models import TreeRun
from django_tasktree.states import RunState


def start(run_id: UUID) -> bool:
    """Let a run that was only written down begin; the caller lets it advance after commit.

    Returns:
        False where it is no draft any more: somebody was first.
    """
    drafts = TreeRun.objects.using(write_alias()).filter(id=run_id, state=RunState.DRAFT)
    return drafts.update(state=RunState.STARTED, started_at=times.now(), revision=F("revision") + 1) == 1
