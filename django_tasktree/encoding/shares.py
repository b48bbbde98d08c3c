"""Shares of a number, as texts such as ``"80%"``."""

import re
from decimal import Decimal

_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%")
_ALL = Decimal(100)


def read_share(text: str) -> Decimal | None:
    """Return the share that a text names, from 0 to 1; None if it names none."""
    found = _SHARE.fullmatch(text.strip())
    if found is None or Decimal(found[1]) > _ALL:
        return None
    return Decimal(found[1]) / _ALL
