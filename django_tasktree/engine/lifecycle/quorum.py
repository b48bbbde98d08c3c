"""quorum: gather nodes that start when enough of their siblings have succeeded, or when too few can still succeed."""

from dataclasses import dataclass
from decimal import ROUND_CEILING
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from django_tasktree.encoding.shares import read_share
from django_tasktree.engine.rules import IS_WAITING_GATHER
from django_tasktree.engine.transitions import nodes
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import NodeState

_WAITING = IS_WAITING_GATHER.q() & ~Q(quorum="")
_SUCCEEDED = Q(settled=True, subtree_failed=False, state=NodeState.SUCCESS)


def with_waiting_quorums(parents: NodeRunQuerySet) -> NodeRunQuerySet:
    """Return those of some nodes under which a gather node with a quorum waits."""
    return parents.filter(Exists(nodes().filter(_WAITING, settled=False, parent_id=OuterRef("id"))))


def waits_for_quorum() -> Q:
    """Return the condition of runs at whose top a gather node with a quorum waits."""
    return Q(Exists(nodes().filter(_WAITING, settled=False, parent=None, run_id=OuterRef("id"))))


def decided_quorums(run_id: UUID, parent_id: UUID | None) -> dict[str, bool]:
    """Return the decided quorums of the gather nodes that wait under a parent, with whether each is reached.

    Args:
        run_id: the run.
        parent_id: the parent; None: the run.
    """
    waiting = nodes().under(run_id, parent_id).filter(_WAITING, settled=False)
    siblings = Siblings(run_id, parent_id)
    decisions = {quorum: siblings.decide(quorum) for quorum in waiting.order_by().values_list("quorum", flat=True)}
    return {quorum: reached for quorum, reached in decisions.items() if reached is not None}


@dataclass(frozen=True, slots=True)
class Siblings:
    """The nodes under a parent, apart from gather nodes."""

    run_id: UUID
    parent_id: UUID | None

    def decide(self, quorum: str) -> bool | None:
        """Return whether the quorum of a gather node is reached.

        Args:
            quorum: how many of the siblings must succeed: a number, or a share.

        Returns:
            None if this is open.
        """
        needed = self._needed(quorum)
        succeeded = self._succeeded(needed)
        while succeeded < needed:
            missing = needed - succeeded
            if self._left(missing) == missing:
                return None
            # One of them may have succeeded after the first count, and before the second one.
            before, succeeded = succeeded, self._succeeded(needed)
            if succeeded == before:
                return False
        return True

    def _succeeded(self, most: int) -> int:
        return int(self._tasks().filter(_SUCCEEDED).order_by()[:most].count())

    def _left(self, most: int) -> int:
        return int(self._tasks().filter(settled=False).order_by()[:most].count())

    def _needed(self, quorum: str) -> int:
        share = read_share(quorum)
        if share is None:
            return int(quorum)
        return int((share * self._tasks().count()).to_integral_value(ROUND_CEILING))

    def _tasks(self) -> NodeRunQuerySet:
        return nodes().under(self.run_id, self.parent_id).filter(is_gather=False)
