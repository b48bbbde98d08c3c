"""Arguments and results as text: JSON with Celery's additional types, or pickle if the project accepts it.

The JSON is kombu's: datetime, date, time, Decimal, UUID and bytes keep their types, as do types that the project passes
to ``kombu.utils.json.register_type``. Pickle is only written and read if Celery's ``accept_content`` lists it.
"""

import base64
import pickle
from typing import Any

from celery import current_app
from django.db.models import Model
from kombu.utils import json

from django_tasktree.conf import settings
from django_tasktree.encoding.stand_ins import STOOD_FOR, put_in, take_out
from django_tasktree.encoding.text import text_of, type_name
from django_tasktree.exceptions import SerializationError, ValueTooLarge

_PICKLE = "pickle:"
#: The key with which kombu marks objects of additional types.
_MARK = '"__type__"'
_PLAIN = (type(None), bool, int, float, str)
#: The serializers of messages that can encode a reference to another node's result.
WITH_REFERENCES = ("json", "pickle")


def pickle_accepted() -> bool:
    """Return whether the Celery configuration accepts pickled content."""
    return _accepts("pickle", "application/x-python-serialize")


def json_accepted() -> bool:
    """Return whether the Celery configuration accepts JSON."""
    return _accepts("json", "application/json")


def _accepts(*names: str) -> bool:
    return any(name in names for name in current_app.conf.accept_content or ())


def is_pickled(text: str) -> bool:
    """Return whether a text that :func:`dumps` wrote contains a pickle."""
    return text.startswith(_PICKLE)


def dumps(value: Any, *, prefer: str = "json") -> str:
    """Return a value as text.

    Args:
        value: any value.
        prefer: ``"json"`` uses pickle only for values that JSON can't hold; ``"pickle"`` uses it for all values that
            are not simple, so that they keep their Python types. Either is used only if the project accepts pickle.

    Raises:
        SerializationError: if the value can't be written.
    """
    try:
        if prefer == "pickle" and type(value) not in _PLAIN and pickle_accepted():
            return _pickled(value)
        text = str(json.dumps(value))
        if _MARK in text:
            # A dict that looks like one of Celery's additional types could be written but not be read: raise now.
            json.loads(text)
    except Exception as exc:
        if prefer != "pickle" and pickle_accepted():
            return dumps(value, prefer="pickle")
        raise SerializationError.of(type_name(type(value)), text_of(exc)) from exc
    return text


def write(value: Any, limit: str, *, prefer: str = "json") -> str:
    """Return arguments or a result as text, with stand-ins for model instances, paths and members of enumerations.

    Args:
        value: any value.
        limit: the attribute of the settings that limits the number of characters, such as ``"max_args_size"``.
        prefer: see :func:`dumps`.

    Raises:
        SerializationError: if the value can't be written.
        ValueTooLarge: if the text is longer than the setting allows.
    """
    return check_size(dumps(put_in(value, stood_for(prefer)), prefer=prefer), limit)


def stood_for(prefer: str) -> tuple[type, ...]:
    """Return the types whose values are replaced with stand-ins.

    Model instances are always replaced: a pickle would contain the row as it is now.

    Args:
        prefer: see :func:`dumps`.
    """
    return (Model,) if prefer == "pickle" and pickle_accepted() else STOOD_FOR


def read(text: str) -> Any:
    """Return a value that :func:`write` wrote, with values instead of stand-ins; fetch the model instances.

    Raises:
        RowNotFound: if a row does not exist.
        SerializationError: see :func:`loads`; also if an enumeration or one of its members is unknown here.
    """
    return take_out(loads(text))


def check_size(text: str, setting: str) -> str:
    """Return a text unchanged.

    Args:
        text: the text.
        setting: the attribute of the settings that limits the number of characters.

    Raises:
        ValueTooLarge: if the text is longer than the setting allows.
    """
    limit: int | None = getattr(settings, setting)
    if limit is not None and len(text) > limit:
        raise ValueTooLarge.than(len(text), limit, setting.upper())
    return text


def loads(text: str) -> Any:
    """Return a value that :func:`dumps` wrote.

    Raises:
        SerializationError: if it was pickled and ``accept_content`` does not list pickle.
    """
    if not is_pickled(text):
        return json.loads(text)
    if not pickle_accepted():
        raise SerializationError(
            "this value is pickled, which the project does not accept (any more): "
            "add 'pickle' to CELERY_ACCEPT_CONTENT to read it"
        )
    return pickle.loads(base64.b64decode(text[len(_PICKLE) :]))  # noqa: S301  accept_content lists it


def _pickled(value: Any) -> str:
    return _PICKLE + base64.b64encode(pickle.dumps(value)).decode("ascii")
