"""Show in a form why the parameters of a definition are invalid."""

from typing import Any

from django_tasktree.exceptions import InvalidParameter


def show_reasons(form: Any, error: Exception, prefix: str = "") -> bool:
    """Add the reasons in an error to the fields of a form, provided that the form has all of these fields.

    Args:
        form: the form.
        error: an ``InvalidParameter``; any other error has no reasons by field.
        prefix: the field of parameter ``name`` is called ``prefix + name``.

    Returns:
        Whether the reasons were added. If not, show the error in another way.
    """
    reasons = error.errors if isinstance(error, InvalidParameter) else {}
    fields = {f"{prefix}{name}": reason for name, reason in reasons.items()}
    if not fields or not fields.keys() <= form.fields.keys():
        return False
    for name, reason in fields.items():
        form.add_error(name, reason)
    return True
