"""Format and parse numbers for people."""

from django.utils.formats import number_format

_MAX_DIGITS = 9


def number_text(number: int) -> str:
    """Return a whole number with the separators of the active language: 12,345 or 12.345 or 12 345."""
    return str(number_format(number, use_l10n=True, force_grouping=True))


def whole_number(text: str) -> int | None:
    """Return the whole number of at most nine digits that a query parameter contains; None for any other text.

    Longer numbers do not fit into a column, and Python refuses to parse very long ones.
    """
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None
