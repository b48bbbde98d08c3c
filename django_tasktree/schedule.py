"""When a run starts, and by when it must have ended."""

from datetime import datetime, timedelta

from django.utils import timezone

from django_tasktree.exceptions import InvalidOption


def start_time(eta: datetime | None, countdown: float | None) -> datetime | None:
    """Read ``eta`` and ``countdown``, of which one may be given.

    Args:
        eta: a naive time is one of the current time zone.
        countdown: seconds from now.

    Raises:
        InvalidOption: both are given.
    """
    if eta is not None and countdown is not None:
        raise InvalidOption("a run takes eta= or countdown=, not both")
    if countdown is not None:
        return timezone.now() + timedelta(seconds=countdown)
    return None if eta is None else _aware(eta)


def end_time(deadline: datetime | timedelta | None) -> datetime | None:
    """Read ``deadline``: a time, or how long from now."""
    if isinstance(deadline, timedelta):
        return timezone.now() + deadline
    return None if deadline is None else _aware(deadline)


def _aware(moment: datetime) -> datetime:
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
