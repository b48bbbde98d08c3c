"""Why a definition refuses its parameters, in a form."""

from typing import Any

from django_tasktree.exceptions import InvalidParameter


def show_reasons(form: Any, error: Exception, prefix: str = "") -> bool:
    """Put the reasons beside the fields at fault, where all of these are in the form.

    Args:
        form: the form.
        error: an ``InvalidParameter``; any other error names no fields.
        prefix: stands before a parameter's name in that of its field.

    Returns:
        False where nothing was put anywhere.
    """
    reasons = error.errors if isinstance(error, InvalidParameter) else {}
    fields = {f"{prefix}{name}": reason for name, reason in reasons.items()}
    if not fields or not fields.keys() <= form.fields.keys():
        return False
    for name, reason in fields.items():
        form.add_error(name, reason)
    return True
