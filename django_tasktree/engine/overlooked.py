"""Nodes whose parent has ended and that were neither released nor skipped: in a run that nothing moves any more."""

from uuid import UUID

from django.db import transaction

from django_tasktree.conf import settings
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.reach import REACHED
from django_tasktree.engine.reset import lock_run, release
from django_tasktree.engine.stop import revoke
from django_tasktree.states import Hold, NodeState


def release_overlooked(run_id: UUID) -> int:
    """Let those nodes of a run start, or skip or revoke them, as the end of their parent asks for.

    The caller settles, and lets the run advance.

    Returns:
        How many nodes that was; of many, the first ones.
    """
    with transaction.atomic(using=write_alias()):
        lock_run(run_id)
        pending = nodes().filter(run_id=run_id, state=NodeState.PENDING, ready=False, is_gather=False)
        found = list(pending.filter(REACHED).values_list("id", flat=True)[: settings.batch_size])
        release(run_id, found)
        stopped = pending.filter(parent__state=NodeState.REVOKED, parent__hold=Hold.STOPPED)
        ids = list(stopped.values_list("id", flat=True)[: settings.batch_size])
        return len(found) + revoke(nodes().filter(id__in=ids))
