"""Parameters that are one number, text, date or path."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from django_tasktree.definitions.parameters.codec import Kind, UnfitError
from django_tasktree.definitions.parameters.showing import quoted
from django_tasktree.encoding import times
from django_tasktree.encoding.yes_no import is_yes


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class _Scalar:
    """The codec of a simple type.

    Attributes:
        noun: description of the type for error messages ("a date").
        types: the type, followed by the other types that ``clean`` accepts.
        make: converts a text, and what ``clean`` accepts, to a value.
        to_json: converts a value to JSON.
        take: converts what ``clean`` accepts, if that differs from ``make``.
        unlike: subclasses of ``types`` that are not accepted.
    """

    noun: str
    types: tuple[type, ...]
    make: Callable[[Any], Any]
    to_json: Callable[[Any], Any] = _unchanged
    take: Callable[[Any], Any] | None = None
    unlike: tuple[type, ...] = (bool,)

    @property
    def label(self) -> str:
        """The name of the type, for messages and help."""
        return self.types[0].__name__

    def read(self, text: str) -> Any:
        """Return the value for a text; UnfitError if it does not fit."""
        return self._attempt(self.make, text)

    def clean(self, value: Any) -> Any:
        """Return the value for a JSON value; UnfitError if it does not fit."""
        if isinstance(value, self.unlike) or not isinstance(value, self.types):
            raise UnfitError(f"{quoted(value)} is not {self.noun}")
        return self._attempt(self.take or self.make, value)

    def _attempt(self, make: Callable[[Any], Any], value: Any) -> Any:
        try:
            return make(value)
        except (ValueError, ArithmeticError) as error:
            raise UnfitError(f"{quoted(value)} is not {self.noun}") from error


def _float_from_json(value: Any) -> float:
    """Accept a text only for the numbers that JSON can't represent."""
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        raise ValueError(value)
    return float(value)


def _float_to_json(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _decimal(value: Any) -> Decimal:
    """Convert through the text: the float 0.1 is not exactly the decimal 0.1 that was written."""
    return Decimal(str(value))


def _date(value: Any) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _datetime(value: Any) -> datetime:
    moment = parse_datetime(value) if isinstance(value, str) else value
    if moment is None:
        raise ValueError(value)
    return times.as_given(moment)


def _uuid(value: Any) -> UUID:
    return UUID(str(value))


def _path(value: Any) -> Path:
    """Reject the empty text, which Path interprets as the current directory."""
    if value == "":
        raise ValueError(value)
    return Path(value)


_DATE = "a date (expected YYYY-MM-DD)"
_DATETIME = "a date with a time (expected YYYY-MM-DDTHH:MM[:SS][+HH:MM])"
SCALARS: dict[Kind, _Scalar] = {
    "text": _Scalar("a text", (str,), _unchanged),
    "int": _Scalar("a whole number", (int,), int),
    "float": _Scalar("a number", (float, int, str), float, _float_to_json, take=_float_from_json),
    "bool": _Scalar("a truth value (expected true or false)", (bool,), is_yes, unlike=()),
    "decimal": _Scalar("a decimal number", (Decimal, int, float, str), _decimal, str),
    "date": _Scalar(_DATE, (date, str), _date, date.isoformat, unlike=(datetime,)),
    "datetime": _Scalar(_DATETIME, (datetime, str), _datetime, datetime.isoformat),
    "uuid": _Scalar("a UUID", (UUID, str), _uuid, str),
    "path": _Scalar("a path", (Path, str), _path, str),
}
SCALAR_KINDS: dict[type, Kind] = {scalar.types[0]: kind for kind, scalar in SCALARS.items()}
