"""How many children of a map may fail: ``tolerate=3``, or ``tolerate="2%"`` of them."""

from decimal import ROUND_FLOOR, Decimal
from typing import Any

from django_tasktree.encoding.shares import read_share
from django_tasktree.exceptions import InvalidOption


def check_tolerance(tolerate: Any) -> None:
    """Check the option ``tolerate``; None is valid.

    Raises:
        InvalidOption: it is neither a whole number of at least 0 nor a share from ``"0%"`` to ``"100%"``.
    """
    if isinstance(tolerate, str):
        is_valid = read_share(tolerate) is not None
    else:
        is_valid = tolerate is None or (type(tolerate) is int and tolerate >= 0)
    if not is_valid:
        raise InvalidOption(
            f"tolerate={tolerate!r} is not valid: give the number of children that may fail, a share such as '2%', or "
            "None"
        )


def tolerated(tolerate: int | str | None, children: int) -> int | None:
    """Return how many of some children may fail; shares are rounded down.

    Args:
        tolerate: the option, as :func:`check_tolerance` accepts it.
        children: how many children there are.

    Returns:
        None if the option is None.
    """
    if tolerate is None or isinstance(tolerate, int):
        return None if tolerate is None else min(tolerate, children)
    return int(((read_share(tolerate) or Decimal()) * children).to_integral_value(ROUND_FLOOR))
