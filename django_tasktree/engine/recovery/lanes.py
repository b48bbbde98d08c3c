"""Find out whether the queued nodes of a lane still have a message on its way, or a process that will send one."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.lifecycle.take import in_lane
from django_tasktree.engine.recovery.messages import Waiting, is_late, read_waiting
from django_tasktree.engine.transitions import nodes
from django_tasktree.states import NodeState


def has_started_lately(run_id: UUID, lane: str, now: datetime) -> bool:
    """Return whether a node of a lane is running that started in the last ``RESEND_AFTER`` seconds.

    Its process sends the next message. (A process that runs a node for longer does so too, but nobody waits for it.)

    Args:
        run_id: the run.
        lane: the lane.
        now: the time.
    """
    since = times.after(now, -settings.resend_after)
    return nodes().filter(run_id=run_id, state=NodeState.STARTED, lane=lane, started_at__gt=since).exists()


def newest_if_late(run_id: UUID, lane: str, now: datetime) -> Waiting | None:
    """Return the queued node of a lane for which a message was sent last.

    Args:
        run_id: the run.
        lane: the lane.
        now: the time.

    Returns:
        None if that was so short ago that the message may still arrive, or if no node of the lane waits.
    """
    newest = in_lane(run_id, lane).order_by("-queued_at").values_list("id", "queued_at", "eta", "resend_count").first()
    if newest is None or not is_late(now, *newest[1:]):
        return None
    found = read_waiting([newest[0]])
    return found[0] if found else None


def has_one_of(run_id: UUID, lane: str, task_ids: Collection[str]) -> bool:
    """Return whether one of some messages is for a node of a lane, whatever the state of the node."""
    return nodes().filter(task_id__in=task_ids, run_id=run_id, lane=lane).exists()
