"""Observe which messages have left their queues, and wait until it is known which of them a worker holds.

A worker fetches a message some time before a heartbeat records that it holds it. So a message that has left its queue
counts as lost only after every live worker has recorded a heartbeat since then. Until that, the cursors of the sweep's
lease keep what was observed.
"""

from datetime import datetime, timedelta
from functools import cached_property

from django_tasktree.encoding import times
from django_tasktree.engine.backends import database_now
from django_tasktree.engine.recovery.messages import LONG_AGO
from django_tasktree.engine.recovery.scan import Scan

_CURSOR = "departures"
#: The maximum number of observations that are kept: texts of the time before which messages are accounted for, the time
#: of a newer observation, and when that was made. Without one, a message counts as lost much later.
MAX_KEPT = 1000
_KEPT_FOR = timedelta(hours=1)


class Departures:
    """Observations of which messages have left their queues.

    Args:
        scan: the extent of the pass. A pass that keeps no cursors, as of ``tasktree sweep``, does not wait for
            heartbeats.
        oldest_heartbeat: when the last of the live workers has recorded the messages that it holds, as an instant; None
            if no worker is alive.
    """

    def __init__(self, scan: Scan, oldest_heartbeat: datetime | None) -> None:
        self._scan = scan
        self._oldest_heartbeat = oldest_heartbeat

    def accounted_for(self, key: str, left_until: datetime) -> datetime:
        """Add an observation.

        Args:
            key: the queue, and the kind of observation.
            left_until: all messages that were sent to the queue before this time have left it; an instant.

        Returns:
            The time before which the messages of the queue have left it so long ago that a worker that holds one has
            recorded it; an instant.
        """
        if not self._scan.keeps_cursors or self._oldest_heartbeat is None:
            return left_until
        known, newer, observed_at = self._read(key)
        if observed_at < self._oldest_heartbeat:
            known = newer
        if known == newer < left_until:
            newer, observed_at = left_until, times.instant(database_now())
        if newer > LONG_AGO and (key in self._kept or len(self._kept) < MAX_KEPT):
            self._kept[key] = [moment.isoformat() for moment in (known, newer, observed_at)]
        return known

    def _read(self, key: str) -> tuple[datetime, datetime, datetime]:
        known, newer, observed_at = map(times.read, self._kept.get(key, [LONG_AGO.isoformat()] * 3))
        return known, newer, observed_at

    @cached_property
    def _kept(self) -> dict[str, list[str]]:
        """Return the observations of the last hour, as the cursors store them."""
        kept = self._scan.cursors.get(_CURSOR, {}).items()
        found = {key: moments for key, moments in kept if times.elapsed(times.read(moments[-1])) < _KEPT_FOR}
        self._scan.cursors[_CURSOR] = found
        return found
