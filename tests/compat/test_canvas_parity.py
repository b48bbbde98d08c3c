"""Canvases as Celery runs them, and as trees by ``from_canvas``: equal results, and side effects in a valid order."""

from itertools import permutations

import pytest
from celery.result import allow_join_result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.builder.order import Order
from django_tasktree.exceptions import BrokenReference
from tests.compat.canvases import Maker
from tests.patience import PATIENCE

pytestmark = [pytest.mark.worker, pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)]
#: The number of canvases that are launched together before any is joined, so that they run concurrently.
ROUND = 10


def _named(tree):
    """Return each node that writes to the log, by the name that it writes."""
    found, stack = {}, [tree]
    while stack:
        node = stack.pop()
        stack.extend(node.children)
        if node is not tree and node.task.endswith(".note"):
            found[node.args[-1]] = node
    return found


def _comes_before(order, earlier, later):
    """Return whether one node always finishes before another one starts."""
    try:
        order.check(later, earlier.output)
    except BrokenReference:
        return False
    return True


def _check_order(tree, log, whose):
    """Check that the log has a line for each node, in an order that the tree allows."""
    lines = log.read_text().split("\n")[:-1]
    nodes = _named(tree)
    assert sorted(lines) == sorted(nodes), whose
    order = Order(tree)
    for earlier, later in permutations(lines, 2):
        if _comes_before(order, nodes[earlier], nodes[later]):
            assert lines.index(earlier) < lines.index(later), f"{whose}: {earlier} before {later}"


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_random_canvases_have_equal_results(stack, tmp_path_factory, seed):
    logs = tmp_path_factory.mktemp("logs")
    seeds = [f"{seed}-{number}" for number in range(ROUND)]
    theirs = [Maker(seed, logs / f"{seed}-celery").whole().apply_async() for seed in seeds]
    trees = [TaskTree.from_canvas(Maker(seed, logs / f"{seed}-ours").whole()) for seed in seeds]
    ours = [tree.apply_async() for tree in trees]
    for seed, their_result, tree, our_result in zip(seeds, theirs, trees, ours, strict=True):
        with allow_join_result():
            expected = their_result.get(timeout=PATIENCE)
        assert our_result.wait(PATIENCE) == "SUCCESS"
        assert our_result.value(PATIENCE) == expected, seed
        _check_order(tree, logs / f"{seed}-celery", f"Celery, seed {seed}")
        _check_order(tree, logs / f"{seed}-ours", f"ours, seed {seed}")
