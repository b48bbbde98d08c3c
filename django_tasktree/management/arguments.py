"""Types for argparse: functions that parse the value of an option.

Each raises ArgumentTypeError for an invalid value; argparse shows the message and exits with 2.
"""

import argparse
import math
import re
from datetime import timedelta

from django_tasktree.encoding.times import duration_of


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """Parse a number of seconds greater than 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds greater than 0")
    return number


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str) -> timedelta:
    """Parse a duration with its unit: ``30d``, ``12h``, ``90m``, ``45s``, ``2w``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration: give a number with its unit, for example 30d, 12h or 90m"
        )
    return duration_of(**{_UNITS[match[2]]: float(match[1])})


def comma_separated(text: str) -> list[str]:
    """Parse a list of names separated by commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} has no names: separate them by commas, for example a,b")
    return names
