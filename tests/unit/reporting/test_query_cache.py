"""Results of slow queries are cached for a short time."""

import pytest

from django_tasktree.reporting import query_cache


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(query_cache, "monotonic", clock)
    monkeypatch.setattr(query_cache, "CHEAP", 0.02)
    query_cache.forget_all()
    yield clock
    query_cache.forget_all()


def query(clock, took):
    """Return a function that takes some seconds of the clock and returns 0, 1, 2, …."""
    answers = iter(range(100))

    def run():
        clock.now += took
        return next(answers)

    return run


def test_a_fast_query_is_never_cached(clock):
    run = query(clock, 0.01)
    assert [query_cache.recent("a", run) for _ in range(3)] == [0, 1, 2]


def test_queries_take_at_most_a_twentieth_of_the_time(clock):
    run = query(clock, 0.3)
    start, answers = clock.now, []
    while clock.now < start + 63:
        answers.append(query_cache.recent("a", run))
        clock.now += 0.1
    assert max(answers) + 1 == 10
    assert sorted(answers) == answers


def test_a_cached_result_expires(clock):
    run = query(clock, 50)
    assert query_cache.recent("a", run) == 0
    clock.now += 59
    assert query_cache.recent("a", run) == 0
    clock.now += 2
    assert query_cache.recent("a", run) == 1


def test_keys_are_independent_and_their_number_is_limited(clock, monkeypatch):
    monkeypatch.setattr(query_cache, "MAX_ANSWERS", 2)
    run = query(clock, 1)
    assert [query_cache.recent(key, run) for key in "abc"] == [0, 1, 2]
    assert [query_cache.recent(key, run) for key in "cba"] == [2, 1, 3]
