"""Walks up and down a tree read each node a few times at most, whatever the tree looks like."""

import random

import pytest

from django_tasktree.engine import sql, subtree
from django_tasktree.models import NodeRun, TreeRun

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def read(monkeypatch):
    """Count the rows and the queries of walks."""
    counts = {"rows": 0, "queries": 0}
    rows = sql.rows

    def counted(*statement):
        found = rows(*statement)
        counts["rows"] += len(found)
        counts["queries"] += 1
        return found

    monkeypatch.setattr(subtree.sql, "rows", counted)
    return counts


def chain(length):
    return [None, *range(length - 1)]


def comb(length):
    """A chain in which each node has a leaf as well."""
    parents = chain(length)
    return parents + list(range(length))


def paths(number, length):
    """Chains of different lengths under one node."""
    parents = [None]
    for index in range(number):
        above = 0
        for _ in range(length + index):
            parents.append(above)
            above = len(parents) - 1
    return parents


def merging(length):
    """A long trunk with chains that leave it at each level."""
    parents = chain(length)
    for level in range(0, length, 7):
        above = level
        for _ in range(level % 13 + 1):
            parents.append(above)
            above = len(parents) - 1
    return parents


def grown(seed, size):
    chance = random.Random(seed)
    return [None, *(chance.randrange(max(0, number - 30), number) for number in range(1, size))]


SHAPES = {
    "a chain": chain(3000),
    "a comb": comb(1200),
    "a star": [None, *([0] * 3000)],
    "many chains": paths(40, 60),
    "chains that meet": merging(1500),
    **{f"grown {seed}": grown(seed, 2500) for seed in range(3)},
}


@pytest.fixture
def stored(database):
    def store(parents):
        run = TreeRun.objects.create(state="STARTED")
        nodes = []
        for parent in parents:
            nodes.append(NodeRun(run=run, task="t", parent_id=None if parent is None else nodes[parent].id))
        NodeRun.objects.bulk_create(nodes)
        return run.id, [node.id for node in nodes]

    return store


@pytest.mark.parametrize("shape", SHAPES)
def test_up(stored, read, settings, shape):
    settings.TASKTREE = {"BATCH_SIZE": 200}
    parents = SHAPES[shape]
    run_id, ids = stored(parents)
    chance = random.Random(shape)
    numbers = range(len(ids))
    for starts in ([numbers[-1]], chance.sample(numbers, 5), chance.sample(numbers, len(ids) // 3), numbers):
        expected = set()
        for number in starts:
            while number is not None and number not in expected:
                expected.add(number)
                number = parents[number]
        read.update(rows=0, queries=0)
        assert subtree.ancestors(run_id, [ids[number] for number in starts]) == {ids[number] for number in expected}
        assert read["rows"] <= 4 * len(expected) + 2 * subtree._LEVELS, starts


@pytest.mark.parametrize("shape", SHAPES)
def test_down(stored, read, shape):
    parents = SHAPES[shape]
    run_id, ids = stored(parents)
    found = list(subtree.subtree(run_id, ids[0]))
    assert sorted(found) == sorted(ids)
    assert read["rows"] <= 1.1 * len(ids) + 10


def test_a_chain_takes_few_queries(stored, read):
    run_id, ids = stored(chain(5000))
    assert len(subtree.ancestors(run_id, [ids[-1]])) == 5000
    assert read["queries"] < 25
    assert read["rows"] < 5100
