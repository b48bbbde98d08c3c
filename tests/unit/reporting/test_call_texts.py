"""Stored calls as one line of text."""

import json

import pytest
from celery import signature
from kombu.utils import json as kombu_json

from django_tasktree.encoding.serialization import write
from django_tasktree.management.display.labels import call_label
from django_tasktree.reporting.call_texts import call_text
from tests.sample.stand_in_tasks import Colour
from tests.sample.tasks import echo


def reference(*content):
    return json.dumps([{"__type__": "tasktree-output", "__value__": ["0123", *content]}])


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ("[]", "{}", "scan()"),
        ('["./a b", 3, false, null]', '{"deep": [1, "é"]}', 'scan("./a b", 3, false, null, deep=[1, "é"])'),
        (reference("outputs"), "{}", "scan(outputs)"),
        (reference("output", "rows", 0), "{}", "scan(output['rows'][0])"),
        ("[1]", f'{{"a": {reference("output")}}}', "scan(1, a=[output])"),
        (
            kombu_json.dumps([signature("shop.mail", args=[1, "x"], kwargs={"to": None})]),
            "{}",
            'scan(mail(1, "x", to=null))',
        ),
        ("pickle:gAS", "{}", "scan(…)"),
        ("[" * 100_000, "{}", None),
        # Only the beginnings of longer texts are stored.
        ('["cut o', "{}", 'scan("cut o…)'),
        ('[1, "cut o', "{}", 'scan(1, "cut o…)'),
        ("[1, 2, ", "{}", "scan(1, 2, …)"),
        ("[1, 2", "{}", "scan(1, 2, …)"),
        ("[", "{}", "scan(…)"),
        ('[1, {"__type__": "tasktree-output", "__va', "{}", "scan(1, …)"),
        ('[{"task": "shop.mail", "args": [1', "{}", "scan(…)"),
        ("[]", '{"a": 1, "b": "cut o', 'scan(a=1, b="cut o…)'),
        ("[]", '{"a": 1, "b', 'scan(a=1, "b…)'),
    ],
)
def test_a_node_is_shown_as_a_call(args, kwargs, text):
    shown = call_text("shop.tasks.scan", args, kwargs)
    if text is not None:
        assert shown == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Colour.RED, "Colour.RED"),
        ({"a": Colour.RED}, '{"a": Colour.RED}'),
        ('a\\b "c"', r'"a\\b \"c\""'),
    ],
)
def test_values(value, text):
    assert call_text("scan", write([value], "max_args_size"), "{}") == f"scan({text})"


@pytest.mark.parametrize("size", [1, 59, 60, 61, 5000])
def test_siblings_that_differ_at_the_end_are_shown_differently(size):
    one, other = (call_text("scan", json.dumps(["x" * size + end]), "{}") for end in ("a", "b"))
    assert one != other
    assert len(one) <= len("scan()") + 62


def test_the_stored_form_is_never_shown():
    for size in range(300):
        args = write([{"to": Colour.RED}, echo.s(1), [Colour.RED]], "max_args_size")[: size + 1]
        assert "__type__" not in call_text("scan", args, "{}"), args
        assert '"task"' not in call_text("scan", args, "{}"), args


def test_a_terminal_shows_texts_without_quotes():
    assert call_label("shop.scan", '["./a", "line\\nbreak"]', "{}") == "scan(./a, line break)"
