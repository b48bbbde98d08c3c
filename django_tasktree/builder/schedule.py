"""Read times that users give: the start and deadline of a run, the ``eta`` and ``expires`` of a message."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from numbers import Real
from typing import Any

from django_tasktree.encoding import times
from django_tasktree.exceptions import InvalidOption


def start_time(eta: datetime | None, countdown: float | None) -> datetime | None:
    """Return the start time of a run.

    Args:
        eta: the time; naive ones are read as :mod:`django_tasktree.encoding.times` says.
        countdown: seconds from now, instead of ``eta``.

    Returns:
        The time as the models store it; None if neither is given.

    Raises:
        InvalidOption: both are given, or the value is not a time or not a number of seconds.
    """
    if eta is not None and countdown is not None:
        raise InvalidOption("a run takes eta= or countdown=, not both")
    if countdown is not None:
        return _from_now("countdown", countdown)
    return None if eta is None else _stored("eta", eta)


def end_time(deadline: datetime | timedelta | None) -> datetime | None:
    """Return the deadline of a run.

    Args:
        deadline: a time, or a duration from now.

    Returns:
        The time as the models store it; None if there is no deadline.

    Raises:
        InvalidOption: it is not a time.
    """
    if isinstance(deadline, timedelta):
        return _from_now("deadline", deadline.total_seconds())
    return None if deadline is None else _stored("deadline", deadline)


def message_times(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a message with aware datetimes for ``eta``, and for ``expires`` if it is a time.

    Celery would read a naive time as UTC, or as local to its own setting ``timezone``.

    Args:
        options: options of ``apply_async``.

    Raises:
        InvalidOption: ``eta`` is not a time, ``countdown`` not a number of seconds, or ``expires`` neither.
    """
    read = dict(options)
    if read.get("countdown") is not None:
        _check_seconds("countdown", read["countdown"])
    if read.get("eta") is not None:
        read["eta"] = _instant("eta", read["eta"], "a date with a time")
    if isinstance(read.get("expires"), Real):
        _check_seconds("expires", read["expires"])
    elif read.get("expires") is not None:
        read["expires"] = _instant("expires", read["expires"], "a date with a time, or a number of seconds")
    return read


def _from_now(name: str, seconds: float) -> datetime:
    _check_seconds(name, seconds)
    return times.after(times.now(), seconds)


def _check_seconds(name: str, seconds: Any) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, Real) or not math.isfinite(seconds):
        raise InvalidOption(f"{name}={seconds!r} is not a number of seconds")
    try:
        times.after(times.now(), float(seconds))
    except ValueError as exc:
        raise InvalidOption(f"{name}={seconds!r} is out of range: the time would not be in years 1 to 9999") from exc


def _stored(name: str, moment: Any) -> datetime:
    return times.as_stored(_instant(name, moment, "a date with a time"))


def _instant(name: str, moment: Any, expected: str) -> datetime:
    try:
        return times.read(moment)
    except (TypeError, ValueError) as exc:
        raise InvalidOption(f"{name}={moment!r} is not {expected}: {exc}") from exc
