"""How many children of a map may fail: ``tolerate=3``, or ``tolerate="2%"`` of them."""

import re
from decimal import Decimal
from typing import Any

from django_tasktree.exceptions import InvalidOption

_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%")
_ALL = Decimal(100)


def check_tolerance(tolerate: Any) -> None:
    """Check the option ``tolerate``; None is valid.

    Raises:
        InvalidOption: it is neither a whole number of at least 0 nor a share from ``"0%"`` to ``"100%"``.
    """
    if tolerate is None:
        return
    if isinstance(tolerate, str):
        share = _SHARE.fullmatch(tolerate.strip())
        if share is not None and Decimal(share[1]) <= _ALL:
            return
    elif isinstance(tolerate, int) and not isinstance(tolerate, bool) and tolerate >= 0:
        return
    raise InvalidOption(
        f"tolerate={tolerate!r} is not valid: give the number of children that may fail, a share such as '2%', or None"
    )


def tolerated(tolerate: int | str | None, children: int) -> int | None:
    """Return how many of some children may fail; shares are rounded down.

    Args:
        tolerate: the option, as :func:`check_tolerance` accepts it.
        children: how many children there are.

    Returns:
        None if the option is None.
    """
    if tolerate is None:
        return None
    if isinstance(tolerate, int):
        return min(tolerate, children)
    return int(Decimal(tolerate.strip().removesuffix("%").strip()) * children // _ALL)
