"""The values of a message's options, checked before anything is stored: a broker would refuse them much later."""

from collections.abc import Callable, Mapping
from typing import Any

from kombu import compression
from kombu.serialization import registry  # type: ignore[attr-defined]

from django_tasktree.exceptions import InvalidOption
from django_tasktree.text import check_storable

#: AMQP's limit on names of queues and exchanges, and on routing keys, in bytes: a "shortstr".
_LONGEST_NAME = 255
#: The largest priority of AMQP, which is one byte.
_HIGHEST_PRIORITY = 255


def check_values(options: Mapping[str, Any]) -> None:
    """Make sure that a broker takes the options of a message; those that are times are checked elsewhere.

    Args:
        options: options of ``apply_async``; None where one is not set.

    Raises:
        InvalidOption: one has a value of a wrong kind.
        InvalidText: a text is too long, or holds a character that can't be sent.
    """
    for name, check in _CHECKS.items():
        if options.get(name) is not None:
            check(name, options[name])


def _name(option: str, value: Any) -> None:
    text = _text(option, value)
    size = len(text.encode())
    if size > _LONGEST_NAME:
        raise InvalidOption(f"{option} has {size:,} bytes, and brokers take {_LONGEST_NAME} at most: shorten it")


def _text(option: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidOption(f"{option}={value!r} is no text")
    return check_storable(f"the option {option}", value)


def _serializer(option: str, value: Any) -> None:
    known = sorted(name for name in registry.name_to_type if isinstance(name, str))
    if value not in known:
        raise InvalidOption(f"{option}={value!r} is not registered: it is one of {', '.join(map(repr, known))}")


def _compression(option: str, value: Any) -> None:
    try:
        compression.get_encoder(value)
    except (KeyError, TypeError) as exc:
        known = ", ".join(map(repr, sorted(compression.encoders())))
        raise InvalidOption(f"{option}={value!r} is not registered: it is one of {known}") from exc


def _priority(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST_PRIORITY:
        raise InvalidOption(f"{option}={value!r} is not a whole number from 0 to {_HIGHEST_PRIORITY}")


def _limit(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InvalidOption(f"{option}={value!r} is not a number of seconds above 0")


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "queue": _name,
    "exchange": _name,
    "routing_key": _name,
    "shadow": _text,
    "serializer": _serializer,
    "compression": _compression,
    "priority": _priority,
    "time_limit": _limit,
    "soft_time_limit": _limit,
}
