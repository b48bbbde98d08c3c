"""Find nodes that wait although their time or their event has come, or of which nobody was sent."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.control.waits import OpenWait, event_of_lane, is_due, open_waits, sent_for
from django_tasktree.engine.recovery.nodes import IN_PASSING
from django_tasktree.engine.recovery.scan import Scan, unsettled
from django_tasktree.states import NodeState

_COLUMNS = ("eta", "queued_at", "resend_count", "wait")


@dataclass
class FoundWaits:
    """What is to be done about a page of nodes that wait.

    Attributes:
        unannounced: the run and the node of each wait that was not processed when it began.
        reminders: the waits of which ``node_waiting`` is to be sent again, with the number of the reminder. Those that
            were due before are left out, if no sweep was made in time.
        events: the run and the name of the events for which a node waits although they were sent.
    """

    unannounced: list[tuple[UUID, UUID]] = field(default_factory=list)
    reminders: list[tuple[OpenWait, int]] = field(default_factory=list)
    events: list[tuple[UUID, str]] = field(default_factory=list)


@dataclass(frozen=True)
class DueWaits:
    """A page of waits whose time has passed.

    Attributes:
        by_run: the waits, by the ID of their run.
        events: the run and the name of the events for which they wait although they were sent. They are to be ended by
            these, if possible.
    """

    by_run: dict[UUID, list[OpenWait]]
    events: list[tuple[UUID, str]]


def due_waits(scan: Scan, now: datetime) -> Iterator[DueWaits]:
    """Find the waits whose time has passed, in pages, the longest overdue first.

    They are not found by :func:`waits_to_process`, because a pass may look at some of all open waits only.

    Args:
        scan: the extent of the pass.
        now: the database's time.
    """
    rows = unsettled(NodeState.WAITING).filter(wait__isnull=False, eta__lte=now).order_by("eta", "id")
    left = rows
    while scan.may_continue() and (page := list(left.values_list("id", "eta")[: settings.batch_size])):
        yield _due(open_waits([key for key, _ in page]))
        last, eta = page[-1]
        left = rows.filter(Q(eta__gt=eta) | Q(eta=eta, id__gt=last))


def _due(waits: list[OpenWait]) -> DueWaits:
    by_run: dict[UUID, list[OpenWait]] = defaultdict(list)
    for wait in waits:
        by_run[wait.node.run_id].append(wait)
    return DueWaits(by_run, sent_for({(wait.node.run_id, wait.spec.event) for wait in waits if wait.spec.event}))


def waits_to_process(scan: Scan, now: datetime) -> Iterator[FoundWaits]:
    """Find the nodes that wait and need something, except for those whose time has passed.

    Args:
        scan: the extent of the pass.
        now: the database's time.
    """
    for page in scan.pages("WAITING", unsettled(NodeState.WAITING), "run_id", "lane", *_COLUMNS):
        # Without a column "wait", a node waits for a sub-run.
        page = [row for row in page if row[-1] is not None]
        found = FoundWaits(events=sent_for({(run_id, event_of_lane(lane)) for _, run_id, lane, *_ in page if lane}))
        some = [key for key, _, lane, *columns in page if _may_need_something(bool(lane), *columns)]
        for wait in open_waits(some) if some else ():
            _sort(found, wait, now)
        yield found


def _may_need_something(has_event: bool, eta: datetime | None, since: datetime | None, sent: int, wait: str) -> bool:
    """Return whether to look at a wait; most only wait for their event or their time."""
    is_processed = sent > 0 if has_event else eta is not None
    if not is_processed or since is None:
        return True
    return "remind_" in wait


def _sort(found: FoundWaits, wait: OpenWait, now: datetime) -> None:
    if is_due(wait, now):
        return
    # A sleep is not announced. Its time is stored when it begins.
    is_processed = wait.sent > 0 if wait.spec.event else wait.due is not None
    if not is_processed:
        if times.elapsed(wait.since, now) > timedelta(seconds=IN_PASSING):
            found.unannounced.append((wait.node.run_id, wait.node.id))
        return
    if wait.sent > 0 and (reminders := wait.spec.reminders(wait.since, now)) >= wait.sent:
        found.reminders.append((wait, reminders))
