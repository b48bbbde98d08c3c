"""Random values survive JSON and text; invalid input raises InvalidParameter and nothing else."""

import json
import math
import uuid
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_tasktree.exceptions import InvalidParameter
from tests.unit.definitions.parameter_examples import Corner, Crossed, Level, Size, parameter

ROUND_TRIPS = {
    str: st.text(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False),
    date: st.dates(),
    datetime: st.datetimes(
        timezones=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
            lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
        )
    ),
    uuid.UUID: st.uuids(),
    Path: st.text(min_size=1).map(Path),
    Level: st.sampled_from(Level),
    Size: st.sampled_from(Size),
    Crossed: st.sampled_from(Crossed),
    Corner: st.sampled_from(Corner),
    Literal["a", 1]: st.sampled_from(["a", 1]),
}
TYPES = list(ROUND_TRIPS)


@pytest.mark.parametrize("annotation", TYPES)
@given(data=st.data())
def test_every_value_survives_json(annotation: Any, data: st.DataObject) -> None:
    value = data.draw(ROUND_TRIPS[annotation])
    made = parameter(annotation)

    back = made.clean(json.loads(json.dumps(made.to_json(value), allow_nan=False)))

    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("annotation", TYPES)
@given(data=st.data())
def test_every_list_survives_json(annotation: Any, data: st.DataObject) -> None:
    values = data.draw(st.lists(ROUND_TRIPS[annotation] | st.none()))
    made = parameter(list[Optional[annotation]])  # noqa: UP045 - a Literal has no | on Python 3.10

    assert made.clean(json.loads(json.dumps(made.to_json(values), allow_nan=False))) == values
    assert made.parse(json.dumps(made.to_json(values))) == values


@pytest.mark.parametrize("annotation", TYPES)
@given(data=st.data())
def test_every_value_survives_its_text(annotation: Any, data: st.DataObject) -> None:
    value = data.draw(ROUND_TRIPS[annotation])
    made = parameter(annotation)

    assert made.parse(str(made.to_json(value))) == value


@pytest.mark.parametrize("annotation", [float, Decimal])
def test_nan_survives_json(annotation: Any) -> None:
    made = parameter(annotation)

    stored = made.to_json(made.parse("nan"))

    assert isinstance(stored, str)
    assert math.isnan(made.clean(stored))


@pytest.mark.parametrize(
    "annotation", [int, float, bool, Decimal, date, datetime, uuid.UUID, Level, Literal["a"], list[int]]
)
@given(text=st.text())
def test_parse_raises_only_invalid_parameter(annotation: Any, text: str) -> None:
    with suppress(InvalidParameter):
        parameter(annotation).parse(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("annotation", [*TYPES, list[int], int | None])
@given(value=JSON_VALUES)
def test_clean_raises_only_invalid_parameter(annotation: Any, value: Any) -> None:
    with suppress(InvalidParameter):
        parameter(annotation).clean(value)
