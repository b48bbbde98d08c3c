"""Short texts that tell siblings apart."""

import json

from django_tasktree.reporting.call_texts import texts_of_siblings


def call(task, *args, **kwargs):
    return f"shop.{task}", json.dumps(args), json.dumps(kwargs)


def test_arguments_that_are_equal_are_left_out():
    calls = [call("load", "a.csv", 3, day="2025-01-31", kind=kind) for kind in "xy"]
    assert texts_of_siblings(calls) == ['load(kind="x")', 'load(kind="y")']


def test_the_only_node_of_a_task_needs_no_arguments():
    assert texts_of_siblings([call("load", 1), call("check", 1)]) == ["load", "check"]


def test_equal_calls():
    assert texts_of_siblings([call("load", 1), call("load", 1)]) == ["load", "load"]


def test_arguments_that_some_lack():
    assert texts_of_siblings([call("load", 1), call("load", 1, 2)]) == ["load", "load(2)"]


def test_arguments_that_are_cut_off_or_pickled():
    cut = ("shop.load", '["a.csv", "the rest is miss', "{}")
    assert texts_of_siblings([cut, call("load", "a.csv", 2)]) == ['load("the rest is miss…)', "load(2)"]
    pickled = ("shop.load", "gASVBQ", "{}")
    assert texts_of_siblings([pickled, call("load", 1)]) == ["load(…)", "load(1)"]


def test_none():
    assert texts_of_siblings([]) == []
