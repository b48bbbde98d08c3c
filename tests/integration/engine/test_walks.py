"""Walks up and down a tree of any shape read each node at most a few times."""

import random

import pytest

from django_tasktree.engine import traversal
from django_tasktree.engine.backends.base import Backend
from django_tasktree.models import NodeRun, TreeRun

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def read(monkeypatch):
    """Count the rows and the queries of walks."""
    counts = {"rows": 0, "queries": 0}
    rows = Backend.rows

    def counted(*statement):
        found = rows(*statement)
        counts["rows"] += len(found)
        counts["queries"] += 1
        return found

    monkeypatch.setattr(Backend, "rows", counted)
    return counts


def chain(length):
    """Return the parents of the nodes of a chain."""
    return [None, *range(length - 1)]


def comb(length):
    """Return a chain in which each node also has a leaf."""
    parents = chain(length)
    return parents + list(range(length))


def paths(number, length):
    """Return chains of different lengths under one node."""
    parents: list[int | None] = [None]
    for index in range(number):
        above = 0
        for _ in range(length + index):
            parents.append(above)
            above = len(parents) - 1
    return parents


def merging(length):
    """Return a long chain from which shorter chains branch off."""
    parents = chain(length)
    for level in range(0, length, 7):
        above = level
        for _ in range(level % 13 + 1):
            parents.append(above)
            above = len(parents) - 1
    return parents


def random_parents(seed, size):
    """Return a random tree in which each node is below one of the 30 nodes before it."""
    rng = random.Random(seed)
    return [None, *(rng.randrange(max(0, number - 30), number) for number in range(1, size))]


SHAPES = {
    "a chain": chain(3000),
    "a comb": comb(1200),
    "a star": [None, *([0] * 3000)],
    "many chains": paths(40, 60),
    "chains that meet": merging(1500),
    **{f"random {seed}": random_parents(seed, 2500) for seed in range(3)},
}


@pytest.fixture
def store(database):
    """Return a function that inserts a run with the given parents, and returns its ID and those of its nodes."""

    def insert(parents):
        run = TreeRun.objects.create(state="STARTED")
        nodes = []
        for parent in parents:
            nodes.append(NodeRun(run=run, task="t", parent_id=None if parent is None else nodes[parent].id))
        NodeRun.objects.bulk_create(nodes)
        return run.id, [node.id for node in nodes]

    return insert


@pytest.mark.parametrize("shape", SHAPES)
def test_ancestors_are_read_a_few_times_at_most(store, read, settings, shape):
    settings.TASKTREE = {"BATCH_SIZE": 200}
    parents = SHAPES[shape]
    run_id, ids = store(parents)
    rng = random.Random(shape)
    numbers = range(len(ids))
    for starts in ([numbers[-1]], rng.sample(numbers, 5), rng.sample(numbers, len(ids) // 3), numbers):
        expected = set()
        for number in starts:
            while number is not None and number not in expected:
                expected.add(number)
                number = parents[number]
        read.update(rows=0, queries=0)
        assert traversal.ancestors(run_id, [ids[number] for number in starts]) == {ids[number] for number in expected}
        assert read["rows"] <= 4 * len(expected) + 2 * traversal.LEVELS, starts


@pytest.mark.parametrize("shape", SHAPES)
def test_descendants_are_read_about_once(store, read, shape):
    parents = SHAPES[shape]
    run_id, ids = store(parents)
    found = list(traversal.subtree(run_id, ids[0]))
    assert sorted(found) == sorted(ids)
    assert read["rows"] <= 1.1 * len(ids) + 10


def test_the_ancestors_in_a_long_chain_take_few_queries(store, read):
    run_id, ids = store(chain(5000))
    assert len(traversal.ancestors(run_id, [ids[-1]])) == 5000
    assert read["queries"] < 25
    assert read["rows"] < 5100
