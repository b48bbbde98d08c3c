"""Strict parsing of JSON."""

import pytest

from django_tasktree.encoding.strict_json import read_json


@pytest.mark.parametrize(
    ("text", "value"),
    [("[1, -2, 1.5, 1e3]", [1, -2, 1.5, 1000.0]), (b'{"a": null}', {"a": None}), ('"NaN"', "NaN")],
)
def test_valid_json(text, value):
    assert read_json(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not a number of JSON"),
        ("[-Infinity]", "-Infinity is not a number of JSON"),
        ("1e999", "the number 1e999 is too large"),
        (f"1{'0' * 400}.0", "the number 10000000000000000000… is too large"),
        ("9" * 5000, "the number 99999999999999999999… has 5,000 digits, which is too many"),
        ("[" * 100_000, "it is nested too deep"),
        ("{", "Expecting property name"),
        (b"\xff", "can't decode"),
    ],
)
def test_invalid_json(text, reason):
    with pytest.raises(ValueError, match=reason):
        read_json(text)
