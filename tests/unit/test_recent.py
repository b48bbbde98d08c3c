"""What is dear to find is not looked for at each look."""

import pytest

from django_tasktree import recent


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(recent, "monotonic", clock)
    monkeypatch.setattr(recent, "CHEAP", 0.02)
    recent.forget_all()
    yield clock
    recent.forget_all()


def finding(clock, took):
    answers = iter(range(100))

    def find():
        clock.now += took
        return next(answers)

    return find


def test_what_is_cheap_is_found_each_time(clock):
    find = finding(clock, 0.01)
    assert [recent.recent("a", find) for _ in range(3)] == [0, 1, 2]


def test_a_twentieth_of_the_time_at_most(clock):
    find = finding(clock, 0.3)
    start, looks = clock.now, []
    while clock.now < start + 63:
        looks.append(recent.recent("a", find))
        clock.now += 0.1
    assert max(looks) + 1 == 10
    assert sorted(looks) == looks


def test_nothing_is_kept_for_long(clock):
    find = finding(clock, 50)
    assert recent.recent("a", find) == 0
    clock.now += 14
    assert recent.recent("a", find) == 0
    clock.now += 2
    assert recent.recent("a", find) == 1


def test_keys_are_apart_and_few_are_kept(clock, monkeypatch):
    monkeypatch.setattr(recent, "_MOST", 2)
    find = finding(clock, 1)
    assert [recent.recent(key, find) for key in "abc"] == [0, 1, 2]
    assert [recent.recent(key, find) for key in "cba"] == [2, 1, 3]
