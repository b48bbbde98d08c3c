"""What wait nodes wait for, checked when they are added to a tree."""

import json
import math
import reprlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import NoneType
from typing import Any

from django.forms import BaseForm
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from django_tasktree.builder.calls import check_choice
from django_tasktree.encoding import times
from django_tasktree.encoding.labels import check_label
from django_tasktree.encoding.text import NAME_LENGTH, check_json, check_storable
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import InvalidOption
from django_tasktree.states import OnTimeout

#: The maximum length of the name of an event: that of the column, without a mark.
EVENT_LENGTH = 99
#: Check the parameters of a function, and those of a dict, with the types of definitions, a layer above this one.
_CHECK_PARAMETERS = "django_tasktree.definitions.payloads.check_parameters"
_STORED_TYPES = "django_tasktree.definitions.payload_types.stored_types"


def event_spec(
    name: str,
    *,
    title: "str | Promise | None",
    description: "str | Promise | None",
    form: type[BaseForm] | None,
    params: Callable[..., Any] | Mapping[str, Any] | None,
    timeout: timedelta | None,
    on_timeout: str,
    default: Any,
    remind_after: timedelta | None,
    remind_every: timedelta | None,
) -> WaitSpec:
    """Return what a node waits for that an event ends; the arguments are those of ``wait_for``.

    Raises:
        InvalidOption: an argument is invalid, or excludes another.
        InvalidDefinition: the parameters of ``params`` have a type that is not supported.
        InvalidText: the name or the title is too long, or a text contains a character that can't be stored.
    """
    check_choice("on_timeout", on_timeout, OnTimeout)
    if form is not None and params is not None:
        raise InvalidOption("wait_for() takes form= or params=, not both: one of them validates the payload")
    if timeout is None and on_timeout != OnTimeout.FAILURE:
        raise InvalidOption(f"on_timeout={on_timeout!r} has no effect without a timeout: give timeout=timedelta(…)")
    if default is not None and on_timeout != OnTimeout.SUCCESS:
        raise InvalidOption('default= is the result after on_timeout="success": leave it out, or give both')
    return WaitSpec(
        event=event_name(name),
        title=_title(title),
        description=_text("description", description),
        form=_path_of_form(form),
        params="" if isinstance(params, Mapping) else _path_of_function(params, name),
        types=_types(params, name) if isinstance(params, Mapping) else None,
        timeout=_seconds("timeout", timeout),
        on_timeout=str(on_timeout),
        default=_json("default", default),
        remind_after=_seconds("remind_after", remind_after),
        remind_every=_seconds("remind_every", remind_every),
    )


def sleep_spec(duration: timedelta | None, until: datetime | None) -> WaitSpec:
    """Return what a node waits for that only waits for a time; the arguments are those of ``sleep``.

    Raises:
        InvalidOption: both arguments or none are given, or the one that is given is invalid.
    """
    if (duration is None) == (until is None):
        raise InvalidOption("sleep() takes a timedelta or until=, a datetime: give one of them")
    if until is None:
        return WaitSpec(timeout=_seconds("the duration of a sleep", duration), on_timeout=OnTimeout.SUCCESS.value)
    try:
        moment = times.instant(until)
    except (TypeError, ValueError) as exc:
        raise InvalidOption(f"until: {exc}") from exc
    if not times.fits_everywhere(moment):
        raise InvalidOption(f"until={until!r} is too near the end of the calendar")
    return WaitSpec(until=moment.isoformat(), on_timeout=OnTimeout.SUCCESS.value)


def event_name(name: str) -> str:
    """Return the name of an event as plain text; the rules are those of labels.

    Raises:
        InvalidOption: it is not a text, is empty, or contains a slash.
        InvalidText: it is too long, or contains a character that a supported database refuses.
    """
    return check_storable("the name of the event", check_label(name, "name"), EVENT_LENGTH)


def _title(value: "str | Promise | None") -> str:
    title = check_storable("title", _text("title", value), NAME_LENGTH)
    if len(title.splitlines()) > 1:
        raise InvalidOption(f"title={title!r} has more than one line: give description= for more text")
    return title


def _text(option: str, value: "str | Promise | None") -> str:
    """Return a text, or a lazy translation in the language that is active now."""
    if not isinstance(value, (str, Promise, NoneType)):
        raise InvalidOption(f"{option}={reprlib.repr(value)} is not a text")
    return check_storable(option, str(value or "").strip())


def _seconds(option: str, value: timedelta | None) -> float | None:
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise InvalidOption(f"{option}={reprlib.repr(value)} is not a timedelta: give timedelta(seconds=…)")
    seconds = value.total_seconds()
    if not 0 < seconds < _LONGEST:
        raise InvalidOption(f"{option}={value!r} must be above zero and below 100 years")
    return int(seconds) if math.floor(seconds) == seconds else seconds


_LONGEST = timedelta(days=36_525).total_seconds()


def _json(option: str, value: Any) -> Any:
    try:
        stored = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidOption(f"{option}={reprlib.repr(value)} can't be written as JSON: {exc}") from exc
    check_json(option, stored)
    return stored


def _path_of_form(form: type[BaseForm] | None) -> str:
    if form is None:
        return ""
    if not (isinstance(form, type) and issubclass(form, BaseForm)):
        raise InvalidOption(f"form={reprlib.repr(form)} is not a class of forms: give a subclass of django.forms.Form")
    return _path_of("form", form)


def _path_of_function(params: Callable[..., Any] | None, name: str) -> str:
    if params is None:
        return ""
    if isinstance(params, type) or not callable(params):
        raise InvalidOption(
            f"params={reprlib.repr(params)} is neither a function, the parameters in whose signature are those of the "
            "payload, nor a dict of types by name"
        )
    import_string(_CHECK_PARAMETERS)(params, name)
    return _path_of("params", params)


def _types(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not params:
        raise InvalidOption("params={} describes no payload: leave it out, or name the values of the payload")
    stored: dict[str, Any] = import_string(_STORED_TYPES)(params, name)
    return stored


def _path_of(option: str, value: Any) -> str:
    """Return the dotted path by which any process finds a class or function."""
    path = f"{value.__module__}.{getattr(value, '__qualname__', '')}"
    try:
        found = import_string(path)
    except (ImportError, ValueError):
        found = None
    if found is not value:
        raise InvalidOption(
            f"{option}={reprlib.repr(value)} can't be imported as {path!r}, as other processes would: define it at the "
            "top level of a module"
        )
    return path
