"""What a pass of the sweep has done."""

from dataclasses import asdict, dataclass, fields


@dataclass
class Swept:
    """Numbers of what was mended.

    Attributes:
        requeued: nodes whose worker was lost, and that run again.
        failed: nodes whose worker was lost, and that may not run again.
        resent: nodes whose message was lost, and was sent again.
        parked: nodes whose message was lost while their run was paused, or had ended.
        settled: nodes and runs whose end had not been followed up.
        advanced: runs with nodes that were ready but not queued.
        launched: drafts whose time had come.
        overdue: runs that were stopped at their deadline.
        purged: runs that had ended long ago, and were deleted.
        errors: what could not be mended this time; the log says why.
    """

    requeued: int = 0
    failed: int = 0
    resent: int = 0
    parked: int = 0
    settled: int = 0
    advanced: int = 0
    launched: int = 0
    overdue: int = 0
    purged: int = 0
    errors: int = 0

    def __bool__(self) -> bool:
        """Whether there was anything to do."""
        return any(asdict(self).values())

    def __str__(self) -> str:
        found = [f"{getattr(self, field.name):,} {field.name}" for field in fields(self) if getattr(self, field.name)]
        return ", ".join(found) or "nothing to do"
