"""Format values for messages and signatures."""

from datetime import date
from enum import Enum
from typing import Any

from django.db.models import Model

from django_tasktree.encoding.text import readable_json


def shown(value: Any) -> str:
    """Return a default or a choice as people would type it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return readable_json(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    return str(value.pk if isinstance(value, Model) else value)


def quoted(value: Any) -> str:
    """Return the repr of a value; for a row only its model, as the repr of a row may query the database or fail."""
    return f"a {value._meta.label}" if isinstance(value, Model) else repr(value)
