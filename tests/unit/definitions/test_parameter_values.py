"""JSON and Python values are converted to the annotated types, or refused."""

import math
import uuid
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.unit.definitions.parameter_examples import UTC, Colour, Crossed, Level, Size, parameter, reason

CLEANED = [
    (int, 7, 7),
    (int, Size.LARGE, 2),
    (float, 7, 7.0),
    (float, "nan", None),
    (bool, False, False),
    (Decimal, 1, Decimal(1)),
    (Decimal, 0.1, Decimal("0.1")),
    (Decimal, "1.50", Decimal("1.50")),
    (date, date(2026, 1, 31), date(2026, 1, 31)),
    (datetime, datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
    (uuid.UUID, uuid.UUID(int=10), uuid.UUID(int=10)),
    (Path, Path("a"), Path("a")),
    (Level, Level.HIGH, Level.HIGH),
    (Level, "high", Level.HIGH),
    (Level, "HIGH", Level.HIGH),
    (Size, 2, Size.LARGE),
    (Colour, Colour.RED, Colour.RED),
    (Crossed, Crossed.A, Crossed.A),
    (Crossed, "B", Crossed.A),
    (Literal[1, "1"], "1", "1"),
    (Literal[1, "1"], 1, 1),
    (list[int], (1, 2), [1, 2]),
    (list[Level], ["low", Level.HIGH], [Level.LOW, Level.HIGH]),
    (list[int | None], [1, None], [1, None]),
    (int | None, None, None),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), CLEANED)
def test_clean_accepts_json_and_typed_values(annotation: Any, value: Any, expected: Any) -> None:
    cleaned = parameter(annotation).clean(value)

    assert math.isnan(cleaned) if expected is None and annotation is float else cleaned == expected
    assert expected is None or type(cleaned) is type(expected)


BAD_VALUES = [
    (str, 5),
    (str, None),
    (int, True),
    (int, 5.0),
    (int, "5"),
    (int, None),
    (float, True),
    (float, "1.5"),
    (float, 10**400),
    (bool, 1),
    (bool, "true"),
    (Decimal, True),
    (Decimal, []),
    (date, datetime(2026, 1, 31)),
    (date, 20260131),
    (datetime, date(2026, 1, 31)),
    (datetime, 0),
    (uuid.UUID, 10),
    (Path, 1),
    (Level, Colour.RED),
    (Level, None),
    (Size, True),
    (Size, "2"),
    (Literal[1, 2], True),
    (Literal[1, 2], "1"),
    (list[int], "1,2"),
    (list[int], {"1": 2}),
    (list[int], [1, None]),
    (list[int], [True]),
]


@pytest.mark.parametrize(("annotation", "value"), BAD_VALUES)
def test_a_value_of_another_type_is_refused(annotation: Any, value: Any) -> None:
    assert " is not " in reason(parameter(annotation).clean, value)
