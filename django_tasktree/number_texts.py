"""Numbers as people read them."""

from django.utils.formats import number_format


def number_text(number: int) -> str:
    """Write a whole number with the separators of the language: 12,345 or 12.345 or 12 345."""
    return str(number_format(number, use_l10n=True, force_grouping=True))
