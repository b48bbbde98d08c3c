import json
import math
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, List, Literal, Optional, Union  # noqa: UP035 - users still write it
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import AbstractUser, Group, Permission
from django.db import connection
from django.db.models import TextChoices
from django.test.utils import CaptureQueriesContext, override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, TaskTreeError
from django_tasktree.parameters import Parameter, parameters_of

if TYPE_CHECKING:
    from fractions import Fraction

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
    """Each value is the other's name."""

    A = "B"
    B = "A"


class Corner(Enum):
    """Values that JSON does not have."""

    ORIGIN = (0, 0)
    FAR = (9, 9)


def parameter(annotation: Any, **default: Any) -> Parameter:
    """The parameter ``value`` of a function that has it alone."""

    def build(value: Any) -> None: ...

    if default:
        build.__defaults__ = (default["default"],)
    build.__annotations__ = {"value": annotation}
    (made,) = parameters_of(build, "demo")
    return made


def reason(call: Callable[[Any], Any], value: Any) -> str:
    with pytest.raises(InvalidParameter) as caught:
        call(value)
    assert str(caught.value) == f"parameter 'value' of tree 'demo': {caught.value.errors['value']}"
    return caught.value.errors["value"]


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
def test_text_becomes_a_value_of_the_type(annotation: Any, text: str, expected: Any) -> None:
    value = parameter(annotation).parse(text)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("annotation", "text", "expected"), PARSED)
def test_what_was_parsed_survives_json(annotation: Any, text: str, expected: Any) -> None:
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
    (list[int], "[1, 2", "'[1, 2' starts like a JSON array, but is none"),
    (list[int], '[1, "2"]', "item 2: '2' is not a whole number"),
]


@pytest.mark.parametrize(("annotation", "text", "message"), BAD_TEXTS)
def test_a_text_that_does_not_fit_is_named_with_what_was_expected(annotation: Any, text: str, message: str) -> None:
    assert message in reason(parameter(annotation).parse, text)


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
def test_json_and_typed_values_are_taken(annotation: Any, value: Any, expected: Any) -> None:
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


def test_the_error_is_one_of_ours_and_a_value_error() -> None:
    with pytest.raises(InvalidParameter) as caught:
        parameter(date).parse("x")

    assert isinstance(caught.value, TaskTreeError)
    assert isinstance(caught.value, ValueError)


class TestTimeZones:
    def test_a_naive_time_is_in_the_current_zone(self) -> None:
        with override_settings(USE_TZ=True, TIME_ZONE="Europe/Berlin"):
            moment = parameter(datetime).parse("2026-07-01 12:00")

        assert moment == datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    def test_it_stays_naive_where_the_project_has_no_zones(self) -> None:
        with override_settings(USE_TZ=False):
            assert parameter(datetime).parse("2026-07-01T12:00") == datetime(2026, 7, 1, 12)


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
def test_json_brings_every_value_back(annotation: Any, data: st.DataObject) -> None:
    value = data.draw(ROUND_TRIPS[annotation])
    made = parameter(annotation)

    back = made.clean(json.loads(json.dumps(made.to_json(value), allow_nan=False)))

    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("annotation", TYPES)
@given(data=st.data())
def test_json_brings_every_list_back(annotation: Any, data: st.DataObject) -> None:
    values = data.draw(st.lists(ROUND_TRIPS[annotation] | st.none()))
    made = parameter(list[Optional[annotation]])  # noqa: UP045 - a Literal has no | on Python 3.10

    assert made.clean(json.loads(json.dumps(made.to_json(values), allow_nan=False))) == values
    assert made.parse(json.dumps(made.to_json(values))) == values


@pytest.mark.parametrize("annotation", TYPES)
@given(data=st.data())
def test_text_brings_every_value_back(annotation: Any, data: st.DataObject) -> None:
    value = data.draw(ROUND_TRIPS[annotation])
    made = parameter(annotation)

    assert made.parse(str(made.to_json(value))) == value


@pytest.mark.parametrize("annotation", [float, Decimal])
def test_json_brings_nan_back(annotation: Any) -> None:
    made = parameter(annotation)

    stored = made.to_json(made.parse("nan"))

    assert isinstance(stored, str)
    assert math.isnan(made.clean(stored))


@pytest.mark.parametrize(
    "annotation", [int, float, bool, Decimal, date, datetime, uuid.UUID, Level, Literal["a"], list[int]]
)
@given(text=st.text())
def test_no_text_raises_anything_else(annotation: Any, text: str) -> None:
    with suppress(InvalidParameter):
        parameter(annotation).parse(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("annotation", [*TYPES, list[int], int | None])
@given(value=JSON_VALUES)
def test_no_json_raises_anything_else(annotation: Any, value: Any) -> None:
    with suppress(InvalidParameter):
        parameter(annotation).clean(value)


@pytest.mark.django_db
class TestModels:
    def test_a_primary_key_gives_the_row(self) -> None:
        group = Group.objects.create(name="staff")
        made = parameter(Group)

        assert (made.kind, made.model) == ("model", Group)
        assert made.parse(str(group.pk)) == group
        assert made.clean(group.pk) == group
        assert made.to_json(group) == group.pk
        assert made.clean(made.to_json(group)) == group

    def test_a_row_passes_without_a_query(self) -> None:
        group = Group.objects.create(name="staff")

        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert parameter(Group).clean(group) is group

        assert len(queries) == 0

    def test_lists_of_rows(self) -> None:
        groups = [Group.objects.create(name=name) for name in "ab"]
        made = parameter(list[Group])

        assert made.parse(f"{groups[0].pk},{groups[1].pk}") == groups
        assert made.clean(made.to_json(groups)) == groups

    def test_none_where_it_is_optional(self) -> None:
        made = parameter(Group | None)

        assert made.parse("none") is None
        assert made.clean(made.to_json(None)) is None

    def test_a_missing_row(self) -> None:
        assert reason(parameter(Group).clean, 4711) == "no auth.Group has the primary key 4711"
        assert reason(parameter(Group).parse, "4711") == "no auth.Group has the primary key '4711'"
        assert "item 1: no auth.Group" in reason(parameter(list[Group]).clean, [4711])

    @pytest.mark.parametrize("value", ["x", "", True, 1.0, None, [], {}])
    def test_what_is_no_key(self, value: Any) -> None:
        assert reason(parameter(Group).clean, value) == f"{value!r} can't be the primary key of any auth.Group"

    def test_a_row_that_was_not_saved(self) -> None:
        assert "save it first" in reason(parameter(Group).clean, Group(name="new"))

    def test_a_row_of_another_model(self) -> None:
        assert "a auth.Permission can't be" in reason(parameter(Group).clean, Permission(pk=1))
        assert reason(parameter(int).clean, Permission(pk=1)) == "a auth.Permission is not a whole number"

    def test_a_default_is_not_looked_up_before_it_is_needed(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            made = parameter(Group, default=4711)

        assert len(queries) == 0
        assert made.describe() == "value: auth.Group = 4711"


DESCRIPTIONS = [
    (date, {}, "value: date"),
    (bool, {"default": False}, "value: bool = False"),
    (str, {"default": 'a "b" ä'}, r'value: str = "a \"b\" ä"'),
    (Decimal, {"default": Decimal("1.50")}, "value: Decimal = 1.50"),
    (date, {"default": date(2026, 1, 31)}, "value: date = 2026-01-31"),
    (datetime, {"default": datetime(2026, 1, 31, 10)}, "value: datetime = 2026-01-31T10:00:00"),
    (uuid.UUID, {"default": uuid.UUID(int=10)}, "value: UUID = 00000000-0000-0000-0000-00000000000a"),
    (Path, {"default": Path("a/b")}, "value: Path = a/b"),
    (Literal["low", "high"], {"default": "low"}, 'value: "low"|"high" = "low"'),
    (Literal[1, 2], {}, "value: 1|2"),
    (Level, {"default": Level.HIGH}, "value: LOW|HIGH = HIGH"),
    (int | None, {}, "value: int | None"),
    (int | None, {"default": None}, "value: int | None = None"),
    (list[int], {"default": (1, 2)}, "value: list[int] = [1, 2]"),
    (list[date | None], {}, "value: list[date | None]"),
    (Group, {}, "value: auth.Group"),
]


@pytest.mark.parametrize(("annotation", "default", "expected"), DESCRIPTIONS)
def test_it_describes_itself(annotation: Any, default: dict[str, Any], expected: str) -> None:
    assert parameter(annotation, **default).describe() == expected


class TestSignature:
    def test_names_order_and_defaults(self) -> None:
        def build(day: date, pages: int = 3, *, full: bool = False, note: str | None = None) -> None: ...

        made = parameters_of(build, "demo")

        assert [each.name for each in made] == ["day", "pages", "full", "note"]
        assert [each.kind for each in made] == ["date", "int", "bool", "text"]
        assert [each.required for each in made] == [True, False, False, False]
        assert [each.optional for each in made] == [False, False, False, True]
        assert [each.default for each in made] == [None, 3, False, None]
        assert {each.tree for each in made} == {"demo"}

    def test_no_parameters(self) -> None:
        assert parameters_of(lambda: None, "demo") == ()

    def test_no_annotation_means_text(self) -> None:
        (made,) = parameters_of(lambda name: None, "demo")

        assert (made.kind, made.annotation) == ("text", str)

    def test_none_as_the_default_makes_it_optional(self) -> None:
        made = parameter(date, default=None)

        assert made.optional
        assert made.clean(None) is None

    def test_choices_items_and_models_are_told(self) -> None:
        assert parameter(Level).choices == (Level.LOW, Level.HIGH)
        assert parameter(Literal["a", 1]).choices == ("a", 1)
        item = parameter(list[Level | None]).item
        assert item is not None
        assert (item.kind, item.optional, item.choices) == ("enum", True, (Level.LOW, Level.HIGH))
        assert parameter(Optional[Level]).annotation is Level  # noqa: UP045

    def test_annotations_that_are_strings(self) -> None:
        def build(day: "date | None", group: "Group", full: "bool" = False) -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821

        assert [each.label for each in parameters_of(build, "demo")] == ["date | None", "auth.Group", "bool"]

    def test_a_parameter_can_be_hashed_and_compared(self) -> None:
        one, other = parameter(list[int], default=[1]), parameter(list[int], default=[1])

        assert one == other
        assert hash(one) == hash(other)


def refused(build: Callable[..., Any]) -> str:
    with pytest.raises(InvalidDefinition) as caught:
        parameters_of(build, "demo")
    message = str(caught.value)
    assert f"{build.__module__}.{build.__qualname__}" in message
    assert "'demo'" in message
    return message


class TestRefusedSignatures:
    def test_collected_arguments(self) -> None:
        def build(*names: str) -> None: ...

        def build_named(**options: str) -> None: ...

        assert "'*names" in refused(build)
        assert "'**options" in refused(build_named)
        assert "a name each" in refused(build)

    def test_positional_only(self) -> None:
        def build(name: str, /) -> None: ...

        assert "parameter 'name'" in refused(build)
        assert "remove the /" in refused(build)

    @pytest.mark.parametrize(
        "annotation",
        [
            dict,
            dict[str, int],
            list,
            List,  # noqa: UP006
            list[list[int]],
            list[dict[str, int]],
            tuple[int, None],
            int | str,
            Any,
            object,
            None,
            Enum,
            Literal[b"x"],
            Literal[Level.LOW],
            AbstractUser,
            timedelta,
        ],
    )
    def test_types_that_are_not_supported(self, annotation: Any) -> None:
        with pytest.raises(
            InvalidDefinition, match=r"parameter 'value' of .*'demo': the type .* is not supported; use"
        ):
            parameter(annotation)

    def test_what_only_type_checkers_import(self) -> None:
        def build(share: "Fraction") -> None: ...

        message = refused(build)

        assert "parameter 'share'" in message
        assert "name 'Fraction' is not defined" in message
        assert "outside `if TYPE_CHECKING:`" in message

    @pytest.mark.parametrize("annotation", ["date |", "1 + 'x'", "uuid.Missing"])
    def test_annotations_that_can_not_be_evaluated(self, annotation: str) -> None:
        with pytest.raises(InvalidDefinition, match="can't be resolved"):
            parameter(annotation)

    @pytest.mark.parametrize(
        ("annotation", "default"), [(int, "5"), (date, "soon"), (bool, 0), (list[int], ["x"]), (Level, "lo")]
    )
    def test_defaults_of_another_type(self, annotation: Any, default: Any) -> None:
        with pytest.raises(InvalidDefinition, match=r"its default does not fit its annotation: .*; change one of them"):
            parameter(annotation, default=default)


def test_the_module_can_be_imported_before_django_is_set_up() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    script = "import django_tasktree.parameters, django_tasktree.registry"

    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=Path(__file__).parents[2])
