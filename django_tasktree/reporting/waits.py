"""The nodes that wait for an event or a person, the longest waiting first."""

from dataclasses import dataclass
from typing import Any

from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.rules import IS_UNSETTLED
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState

#: The maximum number of nodes that are read and counted.
MAX_WAITS = 1_000
_COLUMNS = ("label", "task", "wait", "queued_at", "eta", "state", "run__name", "run__state", "run__definition")


@dataclass(frozen=True, slots=True)
class ListedWait:
    """A node that waits, with its run.

    Attributes:
        node: the row.
        spec: what it waits for.
    """

    node: Any
    spec: WaitSpec


def open_waits() -> list[ListedWait]:
    """Return the nodes that wait for an event, the longest waiting first, at most ``MAX_WAITS``; in one query.

    Sleeps, which only a time ends, are left out.
    """
    rows = _for_events().order_by("id").select_related("run").only(*_COLUMNS)[:MAX_WAITS]
    found = [ListedWait(row, WaitSpec.read(row.wait)) for row in rows]
    return sorted(found, key=lambda each: (each.node.queued_at, each.node.id))


def count_open_waits() -> int:
    """Return the number of nodes that wait for an event, or ``MAX_WAITS`` if there are more."""
    return int(_for_events().order_by()[:MAX_WAITS].count())


def _for_events() -> Any:
    # A node that waits for a sub-run may have a lane, too.
    waits: Any = NodeRun.objects.filter(IS_UNSETTLED.q(), state=NodeState.WAITING, wait__isnull=False)
    return waits.exclude(lane="")
