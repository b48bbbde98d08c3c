"""The launch form of a definition: each kind of parameter, its default, and invalid input."""

import json
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import pytest
from django.utils.translation import override

from django_tasktree import TaskTree
from django_tasktree.admin.pages.launch_form import LaunchForm
from django_tasktree.admin.tree.values import StoredValue, referred_to
from django_tasktree.definitions.definition import Definition
from django_tasktree.exceptions import InvalidParameter

UTC = timezone.utc
KEY = "12345678-1234-5678-1234-567812345678"


class Colour(Enum):
    RED = "r"
    GREEN = "g"


def form_of(annotation, data=None, **default):
    """Return a form with one parameter, ``p``."""

    def build(p):
        return TaskTree()

    build.__annotations__["p"] = annotation
    if "default" in default:
        build.__defaults__ = (default["default"],)
    return LaunchForm(Definition("one", build), data)


def posted(annotation, data, **default):
    """Return the value of the posted parameter, or the errors of the form."""
    data = data if isinstance(data, dict) else {"param-p": data}
    form = form_of(annotation, data, **default)
    return form.params["p"] if form.is_valid() else dict(form.errors)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "hello", "hello"),
        (int, "-3", -3),
        (float, "1.5", 1.5),
        (bool, "on", True),
        (bool, {}, False),
        (Decimal, "0.10", Decimal("0.10")),
        (date, "2026-05-01", date(2026, 5, 1)),
        (datetime, {"param-p_0": "2026-05-01", "param-p_1": "12:30:00"}, datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
        (UUID, KEY, UUID(KEY)),
        (Path, "/tmp/x", Path("/tmp/x")),
        (Colour, "GREEN", Colour.GREEN),
        (Literal["low", "high"], '"high"', "high"),
        (Literal[1, "1"], "1", 1),
        (Literal[1, "1"], '"1"', "1"),
        (list[int], "1, 2,3", [1, 2, 3]),
        (list[str], '["a,b", "c"]', ["a,b", "c"]),
        (list[int], "[]", []),
    ],
)
def test_each_kind_of_parameter_is_parsed(annotation, text, value):
    found = posted(annotation, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("language", ["fr", "es", "pt-br", "de", "en", "zh-hans"])
@pytest.mark.parametrize("annotation", [float, Decimal])
def test_numbers_are_parsed_in_the_format_of_each_language(language, annotation):
    with override(language):
        assert posted(annotation, "1.5") == annotation("1.5")
        assert posted(annotation, "-0,25" if language not in ("en", "zh-hans") else "-0.25") == annotation("-0.25")
        assert "param-p" in posted(annotation, "1,5,3")


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "Infinity", "NaN", "1e999"])
@pytest.mark.parametrize("annotation", [float, Decimal])
def test_a_number_that_is_not_finite_is_refused(annotation, text):
    if annotation is Decimal and text == "1e999":
        assert posted(annotation, text) == Decimal("1e999")
    else:
        assert "param-p" in posted(annotation, text)
    # Unless it is the default of the definition.
    assert posted(float, "inf", default=float("inf")) == float("inf")


@pytest.mark.parametrize(
    "text", ["nan, 1", "1, inf", "-inf", "[NaN]", "[Infinity]", "[-Infinity]", "[1e999]", '["nan"]', '["inf"]']
)
@pytest.mark.parametrize("annotation", [list[float], list[float] | None])
def test_items_that_are_nan_or_infinite_are_refused(annotation, text):
    assert "param-p" in posted(annotation, text)


def test_nan_is_accepted_as_the_default_of_the_definition():
    assert str(posted(float, "nan", default=float("nan"))) == "nan"
    assert str(posted(list[float], "nan, 1.0", default=[float("nan"), 1.0])) == "[nan, 1.0]"


@pytest.mark.parametrize("text", ["[" * 100_000, f"[{'9' * 5000}]", "[1"])
def test_a_text_that_is_not_an_array_is_refused(text):
    assert "but is not a valid JSON array" in " ".join(posted(list[int], text)["param-p"])


@pytest.mark.parametrize("annotation", [float, Decimal])
def test_an_invalid_number_is_shown_as_it_was_typed(annotation):
    with override("de"):
        assert "„1.234,5“ ist keine" in str(posted(annotation, "1.234,5")["param-p"])


def test_thousand_separators_are_parsed_as_in_django_fields(settings):
    settings.USE_THOUSAND_SEPARATOR = True
    with override("de"):
        assert posted(float, "1.234,5") == 1234.5
        assert posted(float, "1.234") == 1234
        assert posted(float, "1.5") == 1.5


@pytest.mark.parametrize(("day", "fits"), [("9999-12-31", False), ("0001-01-01", False), ("9999-12-01", True)])
def test_a_launch_at_the_end_of_the_calendar_is_refused(day, fits):
    form = form_of(str, {"param-p": "x", "eta_0": day, "eta_1": "23:59:59"})
    assert form.is_valid() is fits
    assert fits or form.errors == {"eta": ["This time is out of the calendar's range."]}


@pytest.mark.parametrize("annotation", [str, int, float, Decimal, date, datetime, UUID, Path, Colour, list[int], bool])
def test_an_optional_parameter_may_stay_empty(annotation):
    assert posted(annotation | None, {"param-p": "", "param-p_0": "", "param-p_1": ""}, default=None) is None


@pytest.mark.parametrize("annotation", [str, int, float, date, datetime, Path, Colour, Literal["a"], list[int]])
def test_a_parameter_without_default_is_required(annotation):
    assert "param-p" in posted(annotation, {})


@pytest.mark.parametrize(
    ("annotation", "text", "reason"),
    [
        (int, "x", "whole number"),
        (float, "x", "'x' is not a number"),
        (Decimal, "1,5", "is not a decimal number"),
        (date, "2026-02-30", "valid date"),
        (UUID, "12", "is not a UUID"),
        (Colour, "BLUE", "valid choice"),
        (list[int], "1,x", "item 2: 'x' is not a whole number"),
        (list[int], "[1", "but is not a valid JSON array"),
    ],
)
def test_an_error_is_shown_next_to_its_field(annotation, text, reason):
    assert reason in " ".join(posted(annotation, text)["param-p"])


@pytest.mark.parametrize(
    ("annotation", "default", "shown"),
    [
        (str, 'a"<b>', 'value="a&quot;&lt;b&gt;"'),
        (int, 7, 'value="7"'),
        (float, float("inf"), 'value="inf"'),
        (Decimal, Decimal("0.10"), 'value="0.10"'),
        (bool, True, "checked"),
        (date, date(2026, 5, 1), 'value="2026-05-01"'),
        (datetime, datetime(2026, 5, 1, 12, tzinfo=UTC), 'value="12:00:00"'),
        (Path, Path("/tmp"), 'value="/tmp"'),
        (Colour, Colour.GREEN, '<option value="GREEN" selected>'),
        (Literal["low", "high"], "high", "selected>high<"),
        (list[str], ["a", "b"], 'value="a, b"'),
        (list[str], ["a,b"], 'value="[&quot;a,b&quot;]"'),
    ],
)
def test_a_default_is_filled_in_and_survives_a_post(annotation, default, shown):
    assert shown in str(form_of(annotation, default=default)["param-p"])


@pytest.mark.parametrize(
    ("annotation", "default", "text"),
    [(str, "x", ""), (list[int], [1], "")],
)
def test_a_text_or_list_with_a_default_may_be_emptied(annotation, default, text):
    assert posted(annotation, text, default=default) == type(default)()


def test_a_parameter_may_be_called_key():
    def build(key: str):
        return TaskTree()

    form = LaunchForm(Definition("keyed", build), {"param-key": "theirs", "key": "ours"})
    assert form.is_valid()
    assert (form.params, form.cleaned_data["key"]) == ({"key": "theirs"}, "ours")
    assert LaunchForm(Definition("keyed", build), {"param-key": "x"}).errors == {}


def test_errors_of_a_launch_are_shown_next_to_their_parameters_or_above_the_form():
    form = form_of(int, {"param-p": "1"})
    assert form.is_valid()
    form.add_launch_error(InvalidParameter("parameter 'p' …: too small", {"p": "too small"}))
    assert form.errors == {"param-p": ["too small"]}
    form.add_launch_error(InvalidParameter("no such thing", {"other": "?"}))
    form.add_launch_error(ValueError())
    assert form.non_field_errors() == ["InvalidParameter: no such thing", "ValueError"]


def test_stored_values_are_readable_and_never_unpickled():
    assert StoredValue.of('{"a": 1}').text == '{"a": 1}'
    assert "\n" in StoredValue.of(f'{{"a": "{"x" * 100}"}}').text
    assert StoredValue.of('[{"__type__": "date", "__value__": "2026-05-01"}]').text == '["<date 2026-05-01>"]'
    reference = '{"__type__": "tasktree-output", "__value__": ["ab", "output", "rows", 0]}'
    assert StoredValue.of(reference).text == "\"<output of node ab['rows'][0]>\""
    assert referred_to(reference) == set()


def test_a_reference_names_its_node():
    key = uuid4()
    text = json.dumps([{"__type__": "tasktree-output", "__value__": [key.hex, "outputs", 1]}])
    assert referred_to(text) == {key}
    assert StoredValue.of(text, {key: "fetch"}).text == f'["<outputs of fetch {key}[1]>"]'
    assert StoredValue.of(text).text == f'["<outputs of node {key}[1]>"]'
    assert referred_to("gASV") == set()
    pickled = StoredValue.of("pickle:gASVBwAAAA")
    assert (pickled.pickled, pickled.text, pickled.size) == (True, "", 17)
    assert not StoredValue.of("[" * 100_000 + "]" * 100_000).pickled
    long = StoredValue.of(f'"{"x" * 60_000}"')
    assert (long.cut, len(long.shown), long.is_short) == (True, 50_000, False)
