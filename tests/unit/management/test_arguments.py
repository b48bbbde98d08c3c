"""Arguments of the management commands."""

import argparse

import pytest
from django.core.management.base import CommandError

from django_tasktree.management.arguments import comma_separated, positive_int, seconds
from django_tasktree.management.errors import did_you_mean
from django_tasktree.management.parameters import read_json, read_pairs


def test_pairs_are_split_at_the_first_equals_sign():
    assert read_pairs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["a"], "name=value, not 'a'"), (["=1"], "name=value"), (["a=1", "a=2"], "a is given twice")],
)
def test_invalid_pairs_are_usage_errors(texts, message):
    with pytest.raises(CommandError, match=message) as caught:
        read_pairs(texts)
    assert caught.value.returncode == 2


def test_params_json_must_be_an_object():
    assert read_json(None) == {}
    assert read_json('{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[1]", "takes an object")])
def test_invalid_json_is_a_usage_error(text, message):
    with pytest.raises(CommandError, match=message) as caught:
        read_json(text)
    assert caught.value.returncode == 2


def test_numbers_and_lists():
    assert (positive_int("3"), seconds("0.5"), comma_separated("a, b,")) == (3, 0.5, ["a", "b"])


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *[(positive_int, text) for text in ("0", "-1", "x")],
        *[(seconds, text) for text in ("0", "x", "inf", "nan")],
        (comma_separated, " ,"),
    ],
)
def test_an_invalid_value_is_an_argparse_error(read, text):
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        read(text)


def test_the_most_similar_word_is_suggested():
    assert did_you_mean("shwo", ["list", "show"]) == "did you mean 'show'?"
    assert did_you_mean("x", ["list", "show"]) == "choose from list, show"
