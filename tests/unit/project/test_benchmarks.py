"""The parts of the benchmarks that measure nothing."""

from types import SimpleNamespace

import psycopg
import pytest
from celery.signals import after_task_publish

from benchmarks.fans import Fan
from benchmarks.limits import Limits, checked
from benchmarks.rounds import Spread, measured, percentile, speed
from benchmarks.tables import Table
from benchmarks.tallies import Tallies


def test_a_table_as_text_of_the_documentation():
    table = Table("Figures", ["shape", "per second"])
    table.add("group", "1,000")
    table.add("", "7")
    assert table.as_rst().splitlines() == [
        "Figures:",
        "",
        "=====  ==========",
        "shape  per second",
        "=====  ==========",
        "group  1,000",
        "\\      7",
        "=====  ==========",
    ]


def test_contenders_are_measured_in_turn_and_the_first_round_is_not_counted():
    order = []

    def contender(name, seconds):
        def run():
            order.append(name)
            return next(seconds)

        return run

    found = measured(2, {"a": contender("a", iter([9.0, 1.0, 2.0])), "b": contender("b", iter([9.0, 3.0, 4.0]))})
    assert found == {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_ratios_are_those_of_the_same_round():
    ratios = speed([1.0, 2.0, 1.0], [3.0, 4.0, 5.0])
    assert ratios == Spread(3.0, 2.0, 5.0)
    assert str(ratios) == "3.00 (2.00–5.00)"
    assert percentile([float(number) for number in range(101)], 99) == 99


def test_the_straggler_is_in_the_middle():
    fan = Fan("a fan", 1.0, 4, straggler=10.0)
    assert fan.durations == [1.0, 1.0, 10.0, 1.0, 1.0]
    assert (fan.least(1), fan.least(2)) == (14.0, 10.0)
    assert fan.scaled(0.5) == Fan("a fan", 1.0, 2, straggler=5.0)
    assert Fan("a fan", 1.0, 4).durations == [1.0] * 4


LIMITS = Limits(10, statements=0.5, launch_statements=2, messages=5, updates=2.0)
USAGE = {"tasks": 10, "statements": 5, "launch_statements": 2, "messages": 5, "updates": 20}


@pytest.mark.parametrize(
    ("change", "exceeded"),
    [
        ({}, []),
        ({"statements": 6}, ["statements per node"]),
        ({"launch_statements": 3}, ["statements of the launch"]),
        ({"messages": 6}, ["messages"]),
        ({"updates": 21}, ["updates per node"]),
    ],
)
def test_limits(change, exceeded):
    entries = checked(LIMITS, SimpleNamespace(**{**USAGE, **change}))  # type: ignore[arg-type]
    assert [entry.name for entry in entries if not entry.is_kept] == exceeded
    assert len(entries) == 4


def test_the_tallies_of_several_processes_are_added_up(tmp_path, monkeypatch):
    monkeypatch.setattr(psycopg.Cursor, "execute", lambda _cursor: "executed")
    first, second = Tallies(tmp_path), Tallies(tmp_path)
    with first.counting():
        assert psycopg.Cursor.execute(None) == "executed"  # type: ignore[call-overload]
        after_task_publish.send(sender="a task")
    with second.counting():
        after_task_publish.send(sender="a task")
    after_task_publish.send(sender="a task")
    psycopg.Cursor.execute(None)  # type: ignore[call-overload]
    assert (first.statements, first.messages) == (second.statements, second.messages) == (1, 2)
