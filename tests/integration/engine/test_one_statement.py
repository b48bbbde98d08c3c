"""PostgreSQL's single statement that finishes a parent has the same result as the separate steps."""

from dataclasses import replace
from unittest import mock

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.backends.base import Backend
from django_tasktree.engine.backends.postgresql import PostgreSQL
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.types import DISPATCH_COLUMNS, NodeRef, Outcome, Taker
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import Hold, NodeState, RunState, RunWhen
from tests import databases, services

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

CHILDREN = st.lists(
    st.fixed_dictionaries(
        {
            "run_when": st.sampled_from(RunWhen),
            "is_gather": st.booleans(),
            "hold": st.sampled_from(Hold),
            "limited": st.booleans(),
            "max_active": st.sampled_from([None, 2]),
            "state": st.sampled_from([*[NodeState.PENDING] * 4, *NodeState]),
            "child_count": st.integers(0, 2),
            "retries": st.integers(0, 2),
            "lane": st.sampled_from(["lane", "lane", "other", ""]),
        }
    ),
    min_size=1,
    max_size=10,
)
#: A process that may go on with a child in its lane, or None.
TAKERS = st.sampled_from([None, Taker(new_id(), "lane", new_id(), "worker", new_id())])
OUTCOMES = st.builds(
    Outcome,
    state=st.sampled_from([NodeState.SUCCESS, NodeState.FAILURE, NodeState.REVOKED, NodeState.SKIPPED]),
    result=st.sampled_from([None, "1"]),
    error=st.sampled_from([None, NodeError("error", "message")]),
    skip_children=st.booleans(),
)


@pytest.fixture
def on_postgresql(transactional_db):
    """Run the test on PostgreSQL."""
    services.need(services.POSTGRESQL)
    with databases.active("postgresql"):
        yield


#: Without IDs and times, which differ between two runs.
COMPARED = [
    field.attname
    for field in NodeRun._meta.fields
    if not field.attname.endswith("_at")
    and field.attname not in ("id", "run_id", "parent_id", "task_id", "limit_scope_id")
]
TIMES = ("queued_at", "started_at", "finished_at")


class Scene:
    """A run with one node that has been started, and children in any state."""

    def __init__(self, run_state, children, **values):
        self.run = TreeRun.objects.create(state=run_state)
        common = {"run": self.run, "task": "task", "args": "[]", "kwargs": "{}", "options": "{}"}
        top = NodeRun.objects.create(
            **common, position=0, state="STARTED", child_count=len(children), hold="", has_references=False, **values
        )
        rows = [
            NodeRun(
                **common,
                parent=top,
                position=number,
                has_references=bool(number % 2),
                limit_scope_id=new_id() if child["limited"] else None,
                **{name: value for name, value in child.items() if name != "limited"},
            )
            for number, child in enumerate(children)
        ]
        NodeRun.objects.bulk_create(rows)
        self.top = NodeRef.of(NodeRun.objects.get(id=top.id))

    def rows(self):
        """Return the compared columns of all nodes."""
        nodes = NodeRun.objects.filter(run=self.run)
        return [
            [*(getattr(node, name) for name in COMPARED), *(getattr(node, name) is None for name in TIMES)]
            for node in sorted(nodes, key=lambda node: (node.parent_id is not None, node.position))
        ]

    def numbered(self, released):
        """Return a release with positions instead of IDs."""
        positions = dict(NodeRun.objects.filter(run=self.run).values_list("id", "position"))
        assert all(each.run_id == self.run.id and each.parent_id == self.top.id for each in released.dispatches)
        dispatches = [
            (
                positions[each.id],
                each == type(each).of_columns(columns_of(each.id)),
                each.limit_scope_id is None,
            )
            for each in released.dispatches
        ]
        taken = released.taken
        if taken is not None:
            assert taken == type(taken).of_columns(columns_of(taken.id))
            taken = positions[taken.id]
        return replace(released, dispatches=dispatches, taken=taken)


def columns_of(key):
    """Return the dispatch columns of a node."""
    return NodeRun.objects.values_list(*DISPATCH_COLUMNS).get(id=key)


@hypothesis.settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis.given(
    run_state=st.sampled_from(RunState),
    children=CHILDREN,
    outcome=OUTCOMES,
    taker=TAKERS,
    allow_failure=st.booleans(),
)
def test_the_single_statement_equals_the_steps(on_postgresql, run_state, children, outcome, taker, allow_failure):
    results = []
    for finish_parent in (PostgreSQL.finish_parent, Backend.finish_parent):
        used = []

        def parent(*args, act=finish_parent, used=used):
            used.append(act(*args))
            return used[-1]

        scene = Scene(run_state, children, allow_failure=allow_failure)
        with mock.patch.object(PostgreSQL, "finish_parent", parent):
            released = scene.numbered(finish(scene.top, outcome, taker=taker))
        results.append((scene.rows(), released, len(used)))
        assert (used[0] is None) == (finish_parent is Backend.finish_parent)
        assert all(equals_its_row for _, equals_its_row, _ in released.dispatches)
    assert results[0] == results[1]
