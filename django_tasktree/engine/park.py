"""park: a message came for a node that may not start now, so the node waits without one."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q

from django_tasktree import times
from django_tasktree.engine.advance import advance
from django_tasktree.engine.moves import move, nodes, write_alias
from django_tasktree.engine.specs import Dispatch, NodeRef
from django_tasktree.engine.stop import COUNTS
from django_tasktree.models import TreeRun
from django_tasktree.states import CLAIMABLE, RUN_FINAL, Hold, NodeState, RunState


@dataclass(frozen=True, slots=True)
class Parked:
    """What became of a refused claim."""

    again: bool = False
    dispatches: Iterable[Dispatch] = ()


def park(node: NodeRef) -> Parked:
    """Put a node whose claim was refused back, if that was because its run or its subtree is paused or was ended.

    The moves are guarded by the reason, and afterwards it is looked at again: a resume at the same moment either sees
    the parked node, or is seen here.

    Args:
        node: the attempt that the message named.

    Returns:
        Whether to claim the node again, because it may start by now, and else what to publish: nodes that were resumed
        in the meantime.
    """
    mine = nodes().filter(id=node.id, task_id=node.task_id)
    runs = TreeRun.objects.using(write_alias()).filter(id=OuterRef("run_id"))
    ended = Exists(runs.filter(state__in=RUN_FINAL))
    move(
        mine.filter(ended | Q(hold=Hold.STOPPED)),
        CLAIMABLE,
        NodeState.REVOKED,
        hold=Hold.STOPPED,
        finished_at=times.now(),
        settled=True,
        failed=COUNTS,
    )
    paused = Exists(runs.filter(state=RunState.PAUSED))
    parked = move(mine.filter(paused | Q(hold=Hold.PAUSED)), CLAIMABLE, NodeState.PENDING, ready=True)
    if parked:
        return Parked(dispatches=advance(node.run_id))
    return Parked(again=mine.filter(state__in=CLAIMABLE).exists())
