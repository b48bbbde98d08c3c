"""settle_chain() settles a line of nodes with the same result as single steps."""

from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from django.db.models import F
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle import settle as settle_module
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.engine.lifecycle.settle_chain import settle_chain
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.engine.trees import insert_run
from tests.interleaving import before_statement
from tests.sample.tasks import echo

#: Further nodes under a node of the line, and whether they keep it from being settled.
EXTRAS = {
    "done": ({"state": "SUCCESS", "settled": True}, False),
    "failed": ({"state": "FAILURE", "settled": True, "subtree_failed": True}, False),
    "failed below": ({"state": "SUCCESS", "settled": True, "subtree_failed": True}, False),
    "queued": ({"state": "QUEUED"}, True),
    "ended": ({"state": "SUCCESS"}, True),
    "not reached": ({"state": "PENDING"}, True),
    "gather": ({"state": "PENDING"}, True),
}


@dataclass(frozen=True)
class Link:
    """A node of the line."""

    state: str = "SUCCESS"
    settled: bool = False
    allow_failure: bool = False
    extras: tuple[str, ...] = ()

    @property
    def is_climbed(self):
        """Whether settle_chain() may settle it."""
        return (
            self.state in ("SUCCESS", "FAILURE", "REVOKED")
            and not self.settled
            and not any(EXTRAS[extra][1] for extra in self.extras)
        )


# Mostly nodes that have ended, so that long lines can be climbed.
LINKS = st.builds(
    Link,
    state=st.sampled_from([*["SUCCESS"] * 6, "FAILURE", "REVOKED", "SKIPPED", "STARTED"]),
    settled=st.sampled_from([False] * 9 + [True]),
    allow_failure=st.booleans(),
    extras=st.lists(st.sampled_from([*["done"] * 6, *EXTRAS]), max_size=2).map(tuple),
)
#: The statement that marks a line of nodes as settled.
MARK = "UPDATE django_tasktree_noderun SET settled"
LINES = st.lists(LINKS, min_size=1, max_size=9).map(tuple)


def make(line):
    """Return the ID of a run in which each node of a line is under the next one, and the IDs of the line."""
    tree = TaskTree("line")
    parent: Any = tree
    links: list[Any] = []
    rows: list[tuple[Any, Any]] = []
    for link in reversed(line):
        parent = parent.add_task(echo, allow_failure=link.allow_failure)
        links.append(parent)
        rows.append((parent, {"state": link.state, "settled": link.settled}))
        for extra in link.extras:
            child = parent.gather(echo) if extra == "gather" else parent.add_task(echo)
            rows.append((child, EXTRAS[extra][0]))
    launched, keys = insert_run(tree)
    for node, values in rows:
        NodeRun.objects.filter(id=keys[node]).update(**values)
    return launched.run_id, [keys[node] for node in reversed(links)]


def snapshot(run_id):
    """Return everything that settling may change, in the order in which the nodes were inserted."""
    nodes = NodeRun.objects.filter(run_id=run_id).order_by("id")
    columns = ("state", "runnable", "settled", "subtree_failed", "child_count", "attempts")
    return TreeRun.objects.get(id=run_id).state, list(nodes.values_list(*columns))


def outcome(settled):
    """Return the parts of a settle outcome that do not depend on IDs."""
    return len(settled.dispatches), settled.runnable, settled.ended


def in_single_steps():
    """Make settle() take single steps only: a context manager."""
    return mock.patch.object(settle_module, "settle_chain", lambda run_id, node_id, failed: (node_id, failed))


@pytest.mark.usefixtures("database")
class TestAgainstSingleSteps:
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(line=LINES)
    @example(line=(Link(),))
    @example(line=(Link(), Link(state="FAILURE"), Link(extras=("failed",)), Link()))
    @example(line=(Link(state="FAILURE", allow_failure=True), Link(), Link(extras=("gather",)), Link()))
    @example(line=(Link(), Link(), Link(state="SKIPPED", extras=("not reached",)), Link()))
    @example(line=(Link(), Link(extras=("queued",)), Link()))
    @example(line=(Link(), Link(state="STARTED"), Link()))
    def test_the_same_nodes_are_settled(self, line):
        one, climbed = make(line)
        other, stepped = make(line)

        left, _failed = settle_chain(one, climbed[0], failed=False)
        expected = next((key for key, link in zip(climbed, line, strict=True) if not link.is_climbed), None)
        assert left == expected
        afterwards = settle(one, left)

        with in_single_steps():
            single = settle(other, stepped[0])
        assert outcome(afterwards) == outcome(single)
        assert snapshot(one) == snapshot(other)

    def test_a_long_line_is_climbed_in_parts(self, monkeypatch):
        monkeypatch.setattr("django_tasktree.engine.lifecycle.settle_chain.REACH", 3)
        line = (Link(state="FAILURE"), *[Link()] * 9)
        run_id, keys = make(line)
        node_id, parts = keys[0], 0
        while node_id is not None:
            (node_id, failed), parts = settle_chain(run_id, node_id, failed=False), parts + 1
            assert failed
        assert parts == 3
        # Each part begins at a node whose child has failed.
        assert not NodeRun.objects.filter(run_id=run_id, subtree_failed=False).exists()

    def test_a_node_that_changes_concurrently_is_left_to_single_steps(self):
        run_id, keys = make((Link(), Link(), Link()))
        middle = NodeRun.objects.filter(id=keys[1])
        with before_statement(MARK, lambda: middle.update(revision=F("revision") + 1)):
            assert settle_chain(run_id, keys[0], failed=True) == (keys[0], True)
        assert NodeRun.objects.get(id=keys[1]).settled is False
