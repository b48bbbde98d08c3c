"""The parser for all JSON that people type."""

import json
import math
from typing import Any, NoReturn


def read_json(text: str | bytes, **options: Any) -> Any:
    """Return the value of a JSON text, as RFC 8259 defines it: without Python's NaN and infinities.

    Args:
        text: the text.
        **options: further arguments of ``json.loads``.

    Raises:
        ValueError: if it is not JSON, or has more levels or digits than Python can read, or too large a number.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole, **options)
    except RecursionError as exc:
        raise ValueError(f"it is nested too deep ({exc})") from exc


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {_cut(text)} is too large")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as exc:
        raise ValueError(f"the number {_cut(text)} has {len(text):,} digits, which is too many") from exc


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


_MAX_LENGTH = 20
