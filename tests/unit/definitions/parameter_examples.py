"""Types of parameters that the tests of parameters share, and the parameter of a function with one."""

from collections.abc import Callable
from datetime import timezone
from enum import Enum, IntEnum
from typing import Any

import pytest
from django.db.models import TextChoices

from django_tasktree.definitions.parameters import Parameter, parameters_of
from django_tasktree.exceptions import InvalidParameter

UTC = timezone.utc


class Level(Enum):
    LOW = "low"
    HIGH = "high"
    TOP = "high"  # noqa: PIE796 - an alias of HIGH


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Colour(TextChoices):
    RED = "r", "Red"
    NONE = "none", "No colour"


class Crossed(Enum):
    """An enumeration in which each value is the name of the other member."""

    A = "B"
    B = "A"


class Corner(Enum):
    """An enumeration whose values JSON cannot represent."""

    ORIGIN = (0, 0)
    FAR = (9, 9)


def parameter(annotation: Any, **default: Any) -> Parameter:
    """Return the parameter of a function whose only parameter is ``value``."""

    def build(value: Any) -> None: ...

    if default:
        build.__defaults__ = (default["default"],)
    build.__annotations__ = {"value": annotation}
    (only,) = parameters_of(build, "demo")
    return only


def reason(call: Callable[[Any], Any], value: Any) -> str:
    """Return the message of the InvalidParameter that the call raises, without the names of parameter and tree."""
    with pytest.raises(InvalidParameter) as caught:
        call(value)
    assert str(caught.value) == f"parameter 'value' of definition 'demo': {caught.value.errors['value']}"
    return caught.value.errors["value"]
