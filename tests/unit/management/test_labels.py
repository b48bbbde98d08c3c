"""Short texts for a terminal."""

from datetime import timedelta

import pytest

from django_tasktree.management.display.labels import counted, duration_label, error_label, printable


def test_printable_replaces_control_characters_and_what_cannot_be_encoded():
    assert printable("a\nb\x1b[31m\udc80é") == "a b\\x1b[31m\\udc80é"


def test_an_error_is_one_line():
    assert error_label("builtins.ValueError", " two\nlines ") == "ValueError: two lines"
    assert error_label("shop.errors.Empty", "") == "Empty"


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (-1, "0 ms"),
        (0.0123, "12 ms"),
        (1.26, "1.3 s"),
        (59.2, "59 s"),
        (65, "1 min 05 s"),
        (3599.9, "1 h 00 min"),
        (7380, "2 h 03 min"),
    ],
)
def test_durations_are_readable(seconds, label):
    assert duration_label(timedelta(seconds=seconds)) == label


def test_no_duration_is_an_empty_text():
    assert duration_label(None) == ""


def test_numbers_agree_with_their_nouns():
    assert [counted(0, "node"), counted(1, "node"), counted(1234, "node")] == ["0 nodes", "1 node", "1,234 nodes"]
