"""The parameters of payloads that are given as a dict."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

import pytest
from django.contrib.auth.models import User

from django_tasktree import TaskTree
from django_tasktree.definitions.payload_types import read_types
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter
from tests.sample.stand_in_tasks import Colour


class Outer:
    """A class with an enumeration, which has no name in its module."""

    class Local(Enum):
        ONE = 1


TYPES = {
    "verdict": Literal["yes", "no"],
    "by": (int, 0),
    "day": date | None,
    "until": (date, date(2030, 1, 31)),
    "amounts": (list[Decimal], [Decimal("1.50")]),
    "maybe": (list[int | None] | None, None),
    "colour": (Colour, Colour.RED),
    "user": (User, None),
    "text": (str, None),
}


def test_every_process_reads_the_same_parameters():
    """The specification is stored as a text."""
    spec = WaitSpec.read(TaskTree().wait_for("decided", params=TYPES).spec.write())
    found = {parameter.name: parameter for parameter in read_types(spec.types, "decided")}
    assert [parameter.describe() for parameter in found.values()] == [
        'verdict: "yes"|"no"',
        "by: int = 0",
        "day: date | None",
        "until: date = 2030-01-31",
        "amounts: list[Decimal] = [1.50]",
        "maybe: list[int | None] | None = None",
        "colour: RED|GREEN = RED",
        "user: auth.User | None = None",
        "text: str | None = None",
    ]
    assert found["colour"].default is Colour.RED
    assert found["amounts"].clean(["2"]) == [Decimal(2)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"by": set}, "parameter 'by' of the params of event 'decided': the type set is not supported"),
        ({"by": (int,)}, "give a type, or a pair of a type and a default"),
        ({"by": (int, "x")}, "its default does not fit its annotation"),
        ({"due date": int}, "give identifiers as names"),
        ({7: int}, "give identifiers as names"),
        ({"by": Outer.Local}, "other processes can't import"),
        ({"by": Any}, "is not supported"),
    ],
    ids=range(7),
)
def test_wrong_types(params, message):
    with pytest.raises(InvalidDefinition, match=message):
        TaskTree().wait_for("decided", params=params)


@pytest.mark.parametrize(
    "kind", [{"enum": "tests.sample.stand_in_tasks.Gone"}, {"model": "auth.Gone"}, {"enum": "antigravity.Gone"}, "gone"]
)
def test_a_type_that_does_not_exist_any_more(kind):
    with pytest.raises(InvalidParameter, match="the payload of 'decided' can't be validated"):
        read_types({"by": {"type": kind}}, "decided")


def test_a_default_that_does_not_fit_any_more():
    with pytest.raises(InvalidParameter, match="parameter 'colour' of event 'decided'"):
        read_types({"colour": {"type": {"enum": "tests.sample.stand_in_tasks.Colour"}, "default": "blue"}}, "decided")
