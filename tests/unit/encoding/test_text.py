"""Texts that every database can store."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_tasktree.encoding.text import (
    LONG_NAME_LENGTH,
    NAME_LENGTH,
    check_json,
    check_storable,
    cut_in_the_middle,
    is_storable,
    readable_json,
    short_name,
    storable,
)
from django_tasktree.exceptions import InvalidText
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun, Worker

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=())) | st.text("\x00\ud800\udfff\\a")


@given(ANY_TEXT, st.none() | st.integers(1, 10))
def test_any_text_becomes_storable(text, longest):
    stored = storable(text, longest)
    assert "\x00" not in stored
    stored.encode("utf-8")
    assert longest is None or len(stored) <= longest
    assert storable(stored, longest) == stored
    if is_storable(text) and (longest is None or len(text) <= longest):
        assert stored == text


@given(ANY_TEXT)
def test_a_text_that_would_be_changed_is_refused(text):
    if is_storable(text) and len(text) <= 5:
        assert check_storable("it", text, 5) == text
        return
    with pytest.raises(InvalidText, match=r"^it ") as caught:
        check_storable("it", text, 5)
    assert is_storable(str(caught.value))


@given(ANY_TEXT | st.dictionaries(ANY_TEXT, ANY_TEXT))
def test_readable_json_can_be_encoded_and_keeps_its_value(value):
    text = readable_json(value)
    assert is_storable(text)
    # In JSON, a high surrogate followed by a low one is a single character.
    assert json.loads(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 201, "the key has 201 characters, and at most 200 can be stored: shorten it"),
        ("a\x00", "the key contains the character NUL at position 1, which databases can't store: remove it"),
        ("\udcff", r"the key contains half of a surrogate pair, \udcff, at position 0, which"),
    ],
    ids=["long", "nul", "surrogate"],
)
def test_the_error_names_the_field_and_the_limit(text, reason):
    with pytest.raises(InvalidText, match=re.escape(reason)):
        check_storable("the key", text, 200)


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": ["\x00"]}, "contains the character NUL"),
        ({"\ud800": 1}, "half of a surrogate pair"),
        ([float("nan")], "not JSON compliant"),
        (object(), "not JSON serializable"),
        (10**5000, "Exceeds the limit"),
        (nested(100_000), "nested deeper than 30 levels"),
    ],
    ids=["nul", "surrogate", "nan", "object", "digits", "depth"],
)
def test_values_that_a_json_column_cannot_store(value, reason):
    with pytest.raises(InvalidText, match=f"^it.*{reason}"):
        check_json("it", value)


@pytest.mark.parametrize("value", [None, 1.5, "ä\U0001f600", {"a": [1, {"b": None}]}, nested(28)], ids=str)
def test_values_that_every_json_column_can_store(value):
    check_json("it", value)


def test_the_limits_equal_the_lengths_of_the_columns():
    short = [(TreeRun, "name"), (TreeRun, "key"), (TreeRun, "definition")]
    long = [(NodeRun, "task"), (NodeRun, "worker"), (NodeRun, "error_type"), (HistoryEntry, "actor")]
    long += [(NodeAttempt, "worker"), (NodeAttempt, "error_type"), (Worker, "hostname")]
    assert {model._meta.get_field(name).max_length for model, name in short} == {NAME_LENGTH}  # type: ignore[union-attr]
    assert {model._meta.get_field(name).max_length for model, name in long} == {LONG_NAME_LENGTH}  # type: ignore[union-attr]


def test_a_long_text_keeps_its_beginning_and_end():
    assert cut_in_the_middle("a" * 50 + "b" * 50, 10) == "aaaaa\n… 90 characters left out …\nbbbbb"


@pytest.mark.parametrize(
    ("dotted", "short"), [("billing.tasks.pay", "pay"), ("pay", "pay"), ("billing.", "billing."), (".", "."), ("", "")]
)
def test_short_names(dotted, short):
    assert short_name(dotted) == short
