"""Arguments and results as text: JSON with Celery's extra types, and pickle where the project allows it.

JSON is kombu's (datetime, date, time, Decimal, UUID and bytes keep their types; so do types that the project gave to
``kombu.utils.json.register_type``). Pickle is written and read only where Celery's ``accept_content`` lists it.
"""

import base64
import pickle
from typing import Any

from celery import current_app
from django.db.models import Model
from kombu.utils import json

from django_tasktree.conf import settings
from django_tasktree.exceptions import SerializationError, ValueTooLarge
from django_tasktree.stand_ins import STOOD_FOR, put_in, take_out
from django_tasktree.text import text_of, type_name

_PICKLE = "pickle:"
#: The key by which kombu marks objects of extra types.
_MARK = '"__type__"'
_PLAIN = (type(None), bool, int, float, str)


def pickle_accepted() -> bool:
    """Tell whether the Celery configuration accepts pickled content."""
    return any(name in ("pickle", "application/x-python-serialize") for name in current_app.conf.accept_content or ())


def is_pickled(text: str) -> bool:
    """Tell whether a text that :func:`dumps` wrote holds a pickle."""
    return text.startswith(_PICKLE)


def dumps(value: Any, *, prefer: str = "json") -> str:
    """Write a value as text.

    Args:
        value: anything.
        prefer: ``"pickle"`` keeps Python's types (where accepted) even of what JSON could hold.

    Raises:
        SerializationError: the value can't be written.
    """
    accepted = pickle_accepted()
    try:
        if prefer == "pickle" and accepted and type(value) not in _PLAIN:
            return _pickled(value)
        text = str(json.dumps(value))
        if _MARK in text:
            # A dict that looks like one of Celery's extra types, and is none, could be written but never read.
            json.loads(text)
    except Exception as exc:
        if accepted and prefer != "pickle":
            return dumps(value, prefer="pickle")
        raise SerializationError.of(type_name(type(value)), text_of(exc)) from exc
    return text


def write(value: Any, limit: str, *, prefer: str = "json") -> str:
    """Write arguments or a result: what JSON can't hold is written by its name where it has one.

    Args:
        value: anything; rows of models, paths and members of enumerations have names.
        limit: the setting that limits the size.
        prefer: see :func:`dumps`.

    Raises:
        SerializationError: the value can't be written.
        ValueTooLarge: it is longer than the setting allows.
    """
    return check_size(dumps(put_in(value, stood_for(prefer)), prefer=prefer), limit)


def stood_for(prefer: str) -> tuple[type, ...]:
    """Return the types for whose values stand-ins are written; a pickle would keep a row as it is now.

    Args:
        prefer: see :func:`dumps`.
    """
    return (Model,) if prefer == "pickle" and pickle_accepted() else STOOD_FOR


def read(text: str) -> Any:
    """Read a value that :func:`write` wrote, with the rows that it names.

    Raises:
        RowNotFound: a row does not exist.
        SerializationError: see :func:`loads`.
    """
    return take_out(loads(text))


def check_size(text: str, setting: str) -> str:
    """Give a text back, if it is no longer than a setting allows.

    Raises:
        ValueTooLarge: it is longer.
    """
    limit: int | None = getattr(settings, setting)
    if limit is not None and len(text) > limit:
        raise ValueTooLarge.than(len(text), limit, setting.upper())
    return text


def loads(text: str) -> Any:
    """Read a value that :func:`dumps` wrote.

    Raises:
        SerializationError: it was pickled, and ``accept_content`` does not list pickle.
    """
    if not is_pickled(text):
        return json.loads(text)
    if not pickle_accepted():
        raise SerializationError(
            "this value was pickled, which the project does not accept (any more): "
            "add 'pickle' to CELERY_ACCEPT_CONTENT to read it"
        )
    return pickle.loads(base64.b64decode(text[len(_PICKLE) :]))  # noqa: S301  accept_content lists it


def _pickled(value: Any) -> str:
    return _PICKLE + base64.b64encode(pickle.dumps(value)).decode("ascii")
