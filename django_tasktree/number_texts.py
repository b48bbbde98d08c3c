"""Numbers as people read and write them."""

from django.utils.formats import number_format

_MOST_DIGITS = 9


def number_text(number: int) -> str:
    """Write a whole number with the separators of the language: 12,345 or 12.345 or 12 345."""
    return str(number_format(number, use_l10n=True, force_grouping=True))


def whole_number(text: str) -> int | None:
    """Read a whole number of at most nine digits, as the parameter of an address has one; None for anything else.

    What is longer does not fit into a column either, and Python refuses to read very long ones.
    """
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
