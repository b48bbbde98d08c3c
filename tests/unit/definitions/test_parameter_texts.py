"""Texts of the command line and of forms become values of the annotated types."""

import json
import math
import uuid
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, List, Literal, Optional, Union  # noqa: UP035 - users still write them
from zoneinfo import ZoneInfo

import pytest
from django.test.utils import override_settings

from django_tasktree.exceptions import InvalidParameter, TaskTreeError
from tests.unit.definitions.parameter_examples import UTC, Colour, Corner, Crossed, Level, Size, parameter, reason

PARSED = [
    (str, "", ""),
    (str, " none ", " none "),
    (int, "-7", -7),
    (float, "1.5", 1.5),
    (float, "3", 3.0),
    (float, "inf", math.inf),
    *[(bool, word, True) for word in ("true", "YES", "On", "1")],
    *[(bool, word, False) for word in ("false", "no", "OFF", "0")],
    (Decimal, "0.10", Decimal("0.10")),
    (date, "2026-01-31", date(2026, 1, 31)),
    (datetime, "2026-01-31T10:20:30+02:00", datetime(2026, 1, 31, 8, 20, 30, tzinfo=UTC)),
    (datetime, "2026-01-31T10:20Z", datetime(2026, 1, 31, 10, 20, tzinfo=UTC)),
    (datetime, "2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    (uuid.UUID, "00000000-0000-0000-0000-00000000000a", uuid.UUID(int=10)),
    (Path, "a/b.csv", Path("a/b.csv")),
    (Level, "low", Level.LOW),
    (Level, "LOW", Level.LOW),
    (Level, "TOP", Level.HIGH),
    (Size, "2", Size.LARGE),
    (Size, "LARGE", Size.LARGE),
    (Colour, "r", Colour.RED),
    (Crossed, "A", Crossed.B),
    (Corner, "FAR", Corner.FAR),
    (Literal["low", "high"], "low", "low"),
    (Literal[1, 2, "x"], "2", 2),
    (Literal[1, 2, "x"], "x", "x"),
    (list[int], "1, 2,3", [1, 2, 3]),
    (list[int], "", []),
    (list[int], "[1, 2]", [1, 2]),
    (list[str], "a, b", ["a", "b"]),
    (list[str], '["a, b", ""]', ["a, b", ""]),
    (list[date], '["2026-01-31"]', [date(2026, 1, 31)]),
    (list[Level], "low,HIGH", [Level.LOW, Level.HIGH]),
    (list[int | None], "1,,none,2", [1, None, None, 2]),
    (List[bool], "yes,no", [True, False]),  # noqa: UP006
    (Optional[str], "none", "none"),  # noqa: UP045
    *[(int | None, word, None) for word in ("", "none", "NULL", " null ")],
    (int | None, "5", 5),
    (Union[None, date], "", None),  # noqa: UP007
    (list[int] | None, "", None),
    (Colour | None, "none", Colour.NONE),
    (Colour | None, "NONE", Colour.NONE),
    (Colour | None, "null", None),
    (Literal["none", "all"] | None, "none", "none"),
    (Literal["a", None], "null", None),
    (Optional[Literal["a", None]], "a", "a"),  # noqa: UP045
    (Annotated[int, "with a note"], "5", 5),
]


@pytest.mark.parametrize(("annotation", "text", "expected"), PARSED)
def test_parse_returns_a_value_of_the_type(annotation: Any, text: str, expected: Any) -> None:
    value = parameter(annotation).parse(text)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("annotation", "text", "expected"), PARSED)
def test_a_parsed_value_survives_json(annotation: Any, text: str, expected: Any) -> None:
    made = parameter(annotation)

    stored = json.loads(json.dumps(made.to_json(made.parse(text)), allow_nan=False))

    assert made.clean(stored) == expected


BAD_TEXTS = [
    (int, "1.5", "'1.5' is not a whole number"),
    (int, "", "'' is not a whole number"),
    (float, "much", "'much' is not a number"),
    (bool, "maybe", "'maybe' is not a truth value (expected true or false)"),
    (Decimal, "1,5", "'1,5' is not a decimal number"),
    (date, "tomorow", "'tomorow' is not a date (expected YYYY-MM-DD)"),
    (date, "2026-02-30", "'2026-02-30' is not a date (expected YYYY-MM-DD)"),
    (datetime, "now", "'now' is not a date with a time (expected YYYY-MM-DDTHH:MM[:SS][+HH:MM])"),
    (datetime, "2026-02-30T10:00", "is not a date with a time"),
    (uuid.UUID, "12", "'12' is not a UUID"),
    (Path, "", "'' is not a path"),
    (Level, "lo", "'lo' is not one of LOW, HIGH"),
    (Literal["low", 3], "lo", "'lo' is not one of \"low\", 3"),
    (list[int], "1,x,3", "item 2: 'x' is not a whole number"),
    (list[int], "1,,3", "item 2: '' is not a whole number"),
    (list[int], "[1, 2", "'[1, 2' starts with [, but is not a valid JSON array"),
    (list[int], '[1, "2"]', "item 2: '2' is not a whole number"),
]


@pytest.mark.parametrize(("annotation", "text", "message"), BAD_TEXTS)
def test_an_invalid_text_is_reported_with_the_expected_format(annotation: Any, text: str, message: str) -> None:
    assert message in reason(parameter(annotation).parse, text)


def test_invalid_parameter_is_a_tasktree_error_and_a_value_error() -> None:
    with pytest.raises(InvalidParameter) as caught:
        parameter(date).parse("x")

    assert isinstance(caught.value, TaskTreeError)
    assert isinstance(caught.value, ValueError)


class TestTimeZones:
    def test_a_naive_time_is_in_the_current_time_zone(self) -> None:
        with override_settings(USE_TZ=True, TIME_ZONE="Europe/Berlin"):
            moment = parameter(datetime).parse("2026-07-01 12:00")

        assert moment == datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    def test_a_naive_time_stays_naive_without_use_tz(self) -> None:
        with override_settings(USE_TZ=False):
            assert parameter(datetime).parse("2026-07-01T12:00") == datetime(2026, 7, 1, 12)
