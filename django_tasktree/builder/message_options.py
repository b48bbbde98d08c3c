"""Check the values of a message's options before anything is stored; a broker would reject them much later."""

from collections.abc import Callable, Mapping
from typing import Any

from kombu import compression
from kombu.serialization import registry  # type: ignore[attr-defined]

from django_tasktree.encoding.text import check_storable
from django_tasktree.exceptions import InvalidOption

#: The options that determine where a message is sent.
WHERE_TO = ("queue", "exchange", "routing_key", "priority")
#: AMQP's limit on names of queues and exchanges and on routing keys, in bytes (type "shortstr").
_MAX_NAME_BYTES = 255
#: The largest priority in AMQP (one byte).
_MAX_PRIORITY = 255


def check_values(options: Mapping[str, Any]) -> None:
    """Check that a broker accepts the options of a message; times are checked by :mod:`.schedule`.

    Args:
        options: options of ``apply_async``; those that are None are not set.

    Raises:
        InvalidOption: one has a value of the wrong type, or out of range.
        InvalidText: a text is too long, or has a character that can't be sent.
    """
    for name, check in _CHECKS.items():
        if options.get(name) is not None:
            check(name, options[name])


def _name(option: str, value: Any) -> None:
    text = _text(option, value)
    size = len(text.encode())
    if size > _MAX_NAME_BYTES:
        raise InvalidOption(f"{option} has {size:,} bytes, but brokers accept at most {_MAX_NAME_BYTES}: shorten it")


def _text(option: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidOption(f"{option}={value!r} is not a string: pass its name as a string")
    return check_storable(f"the option {option}", value)


def _serializer(option: str, value: Any) -> None:
    known = sorted(name for name in registry.name_to_type if isinstance(name, str))
    if value not in known:
        raise InvalidOption(f"{option}={value!r} is not registered: it must be one of {', '.join(map(repr, known))}")


def _compression(option: str, value: Any) -> None:
    try:
        compression.get_encoder(value)
    except (KeyError, TypeError) as exc:
        known = ", ".join(map(repr, sorted(compression.encoders())))
        raise InvalidOption(f"{option}={value!r} is not registered: it must be one of {known}") from exc


def _priority(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_PRIORITY:
        raise InvalidOption(f"{option}={value!r} is not a whole number from 0 to {_MAX_PRIORITY}")


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
