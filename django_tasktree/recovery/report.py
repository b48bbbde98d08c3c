"""The report of a pass of the sweep: the numbers of repairs, and of those that failed without ending the pass."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields

from django.db import InterfaceError, OperationalError

from django_tasktree.engine.database_retries import is_timeout
from django_tasktree.exceptions import StaleAttempt

logger = logging.getLogger(__name__)


@dataclass
class SweepReport:
    """The numbers of repairs that a pass of the sweep has made.

    Attributes:
        requeued: nodes of lost workers that were queued again.
        failed: nodes of lost workers that have failed.
        resent: nodes whose lost message was sent again.
        deferred: queued nodes that may not start, and were put back: their run or subtree is paused or has ended.
        settled: nodes and runs that were finished but unsettled; also if more had failed below them than are tolerated.
        advanced: nodes that could start and were queued.
        launched: drafts that were launched at their ``eta``.
        overdue: runs that were stopped at their deadline.
        expired: wait nodes that were ended because their time had passed.
        answered: wait nodes that were ended by an event that a lost process had stored.
        announced: wait nodes whose beginning a lost process had not processed.
        reminded: reminders of wait nodes that were sent.
        ended: nodes that were ended because their sub-run had ended.
        stopped: sub-runs that were revoked because no node waited for them any more.
        continued: actions on large runs that were continued.
        purged: old runs that were deleted.
        errors: repairs that failed; the log has the reasons.
    """

    requeued: int = 0
    failed: int = 0
    resent: int = 0
    deferred: int = 0
    settled: int = 0
    advanced: int = 0
    launched: int = 0
    overdue: int = 0
    expired: int = 0
    answered: int = 0
    announced: int = 0
    reminded: int = 0
    ended: int = 0
    stopped: int = 0
    continued: int = 0
    purged: int = 0
    errors: int = 0

    def __bool__(self) -> bool:
        """Return whether the pass repaired anything or failed to."""
        return any(asdict(self).values())

    def __str__(self) -> str:
        numbers = [f"{getattr(self, field.name):,} {field.name}" for field in fields(self) if getattr(self, field.name)]
        return ", ".join(numbers) or "nothing to do"


@contextmanager
def repairing(what: str, report: SweepReport) -> Iterator[None]:
    """Log and count an error in the block instead of raising it.

    A :class:`StaleAttempt` is no error: another process has changed the node in the meantime.

    Args:
        what: what the block repairs, as the subject of log messages.
        report: counts the error.

    Raises:
        OperationalError, InterfaceError: if the database itself fails, so that the pass must end. The timeout of a
            statement, for example for a lock that another transaction holds, is logged and counted instead.
    """
    try:
        yield
    except StaleAttempt as exc:
        logger.info("%s no longer needs to be repaired: %s", what, exc)
    except (OperationalError, InterfaceError) as exc:
        if not is_timeout(exc):
            raise
        report.errors += 1
        logger.warning("%s is locked by another transaction (%s): the next pass retries", what, exc)
    except Exception:
        report.errors += 1
        logger.exception("%s could not be repaired", what)
