"""take and finish_together: a worker process takes queued nodes of a lane, and writes their outcomes together."""

from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.lifecycle.finish_together import can_wait, finish_together
from django_tasktree.engine.lifecycle.take import (
    active_carriers,
    carried_nodes,
    give_back,
    is_revoked,
    next_in_lane,
    take,
)
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import CompanionRow, NodeRef, Outcome, Taker
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import Hold, NodeState
from tests.integration.engine.trees import insert_run
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("sharing")


def fan(size, **options):
    """Insert a run of several root nodes, and return its ID and who takes them."""
    tree = TaskTree()
    for number in range(size):
        tree.add_task(echo, [number], **options)
    launched, _ = insert_run(tree)
    lane = nodes().filter(run_id=launched.run_id).values_list("lane", flat=True)[0]
    return launched.run_id, Taker(launched.run_id, lane, uuid4(), "w", uuid4())


def carrier_of(taker):
    """Return the attempt whose message a process handles while it takes nodes."""
    return NodeRef(id=uuid4(), run_id=taker.run_id, parent_id=None, task_id=taker.carried_by, child_count=0)


def labels(dispatches):
    return [dispatch.args for dispatch in dispatches]


def rows(run_id, **conditions):
    return list(NodeRun.objects.filter(run_id=run_id, **conditions).order_by("id"))


def test_the_first_nodes_of_the_lane_are_taken(database):
    run_id, taker = fan(4)
    taken = take(taker, 3)
    assert labels(taken) == ["[0]", "[1]", "[2]"]
    for row in rows(run_id, id__in=[dispatch.id for dispatch in taken]):
        assert (row.state, row.attempts, row.worker, row.worker_id) == ("STARTED", 1, "w", taker.worker_id)
        assert (row.carried_by, row.started_at is None) == (taker.carried_by, False)
    assert labels(take(taker, 3)) == ["[3]"]
    assert take(taker, 3) == []
    assert sorted(labels(carried_nodes(carrier_of(taker), taker.worker_id))) == ["[0]", "[1]", "[2]", "[3]"]
    assert carried_nodes(carrier_of(taker), uuid4()) == []
    assert len(carried_nodes(carrier_of(taker), None)) == 4
    assert active_carriers(run_id, taker.lane) == 1


def test_a_cursor_passes_over_the_first_nodes(database):
    run_id, taker = fan(4)
    second = rows(run_id)[1]
    assert labels(take(taker, 9, second.id)) == ["[2]", "[3]"]


@pytest.mark.parametrize(
    "change",
    [
        {"state": "PENDING"},
        {"state": "RETRY"},
        {"state": "STARTED"},
        {"state": "SUCCESS"},
        {"hold": Hold.PAUSED},
        {"hold": Hold.REVOKED},
        {"lane": "other"},
        {"lane": ""},
        {"runnable": True},
        {"limit_scope_id": new_id()},
    ],
    ids=["pending", "retry", "started", "success", "paused", "revoked", "other lane", "no lane", "runnable", "limited"],
)
def test_nodes_that_may_not_be_taken(database, change):
    run_id, taker = fan(2)
    first, other = rows(run_id)
    NodeRun.objects.filter(id=first.id).update(**change)
    assert [dispatch.id for dispatch in take(taker, 9)] == [other.id]


@pytest.mark.parametrize("state", ["PAUSED", "CHANGING", "REVOKED", "FAILURE"])
def test_nothing_is_taken_from_a_run_that_does_not_go_on(database, state):
    run_id, taker = fan(2)
    TreeRun.objects.filter(id=run_id).update(state=state)
    assert take(taker, 9) == []


def test_nothing_is_taken_from_another_run(database):
    fan(2)
    _, taker = fan(1)
    assert len(take(taker, 9)) == 1


def test_locked_nodes_are_left_out(database):
    if not connections[database].features.has_select_for_update_skip_locked:
        pytest.skip("this database locks no single rows")
    run_id, taker = fan(3)
    other = connections[database].copy()
    locked = rows(run_id)[0]
    with closing(other):
        other.set_autocommit(False)
        with other.cursor() as cursor:
            table = NodeRun._meta.db_table
            key = NodeRun._meta.pk.get_db_prep_value(locked.id, other)
            cursor.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE", [key])
        assert labels(take(taker, 9)) == ["[1]", "[2]"]
        other.rollback()
    assert labels(take(taker, 9)) == ["[0]"]


def test_two_processes_take_different_nodes(database):
    run_id, taker = fan(4)
    other = replace(taker, carried_by=uuid4())
    found = [*take(taker, 2), *take(other, 1), *take(taker, 9)]
    assert labels(found) == ["[0]", "[1]", "[2]", "[3]"]
    assert active_carriers(run_id, taker.lane) == 2


def test_nodes_that_have_not_run_are_given_back(database):
    run_id, taker = fan(3)
    taken = take(taker, 3)
    NodeRun.objects.filter(id=taken[1].id).update(state="REVOKED")
    NodeRun.objects.filter(id=taken[2].id).update(state="QUEUED", task_id=uuid4())
    assert labels(give_back(taken)) == ["[0]"]
    row = rows(run_id)[0]
    assert (row.state, row.attempts, row.carried_by, row.worker, row.worker_id) == ("QUEUED", 0, None, "", None)
    assert row.started_at is None
    assert labels(take(taker, 1)) == ["[0]"]


def test_the_next_message_of_a_lane(database):
    run_id, taker = fan(2)
    before = rows(run_id)[0].queued_at
    (dispatch,) = next_in_lane(run_id, taker.lane)
    assert dispatch is not None
    assert dispatch.args == "[0]"
    assert rows(run_id)[0].queued_at > before
    take(taker, 9)
    assert next_in_lane(run_id, taker.lane) == []


def test_whether_a_node_was_revoked(database):
    run_id, _ = fan(2)
    first, other = rows(run_id)
    NodeRun.objects.filter(id=first.id).update(hold=Hold.REVOKED)
    assert (is_revoked(first.id), is_revoked(other.id)) == (True, False)
    TreeRun.objects.filter(id=run_id).update(state="REVOKED")
    assert is_revoked(other.id)


# The outcomes


def success(number):
    return Outcome(NodeState.SUCCESS, result=str(number))


def test_outcomes_are_written_together(database):
    run_id, taker = fan(3)
    taken = take(taker, 3)
    ended = [(NodeRef.of(dispatch), success(number)) for number, dispatch in enumerate(taken)]
    assert finish_together(ended) == {dispatch.id for dispatch in taken}
    for number, row in enumerate(rows(run_id)):
        assert (row.state, row.result, row.settled, row.subtree_failed) == ("SUCCESS", str(number), True, False)
        assert row.finished_at == ended[number][1].at
    assert finish_together(ended) == set()


def test_the_rows_are_those_of_single_outcomes(database):
    from django_tasktree.engine.lifecycle.finish import finish

    run_id, taker = fan(2)
    NodeRun.objects.filter(run_id=run_id).update(error_type="E", error_message="m", error_args="a", traceback="t")
    together, alone = take(taker, 2)
    outcome = success(1)
    finish_together([(NodeRef.of(together), outcome)])
    finish(NodeRef.of(alone), outcome)
    first, other = (vars(row) for row in rows(run_id))
    different = {name for name in first if first[name] != other[name] and name != "_state"}
    assert different - {"queued_at"} == {"id", "task_id", "position", "args"}


@pytest.mark.parametrize(
    "change",
    [{"task_id": uuid4()}, {"state": "QUEUED"}, {"state": "REVOKED"}, {"child_count": 1}],
    ids=["other attempt", "given back", "revoked", "has children"],
)
def test_outcomes_that_are_refused(database, change):
    run_id, taker = fan(2)
    taken = take(taker, 2)
    NodeRun.objects.filter(id=taken[0].id).update(**change)
    assert finish_together([(NodeRef.of(dispatch), success(1)) for dispatch in taken]) == {taken[1].id}
    assert rows(run_id)[0].result is None


def companion(key):
    """Return a row of another table: here, of the run's own history."""
    return CompanionRow(
        "INSERT INTO django_celery_results_groupresult "
        "(group_id, date_created, date_done, content_type, content_encoding)",
        (key, "2025-01-01 00:00:00", "2025-01-01 00:00:00", "application/json", "utf-8"),
        "",
        ("%s::text", "%s::timestamptz", "%s::timestamptz", "%s::text", "%s::text"),
    )


def test_only_written_outcomes_have_companion_rows(database):
    from django_celery_results.models import GroupResult

    if connections[database].vendor != "postgresql":
        pytest.skip("the other databases write the outcomes one by one, in one transaction")
    _, taker = fan(3)
    taken = take(taker, 3)
    NodeRun.objects.filter(id=taken[1].id).update(state="REVOKED")
    ended = [(NodeRef.of(d), replace(success(1), companion=companion(d.args))) for d in taken[:2]]
    ended.append((NodeRef.of(taken[2]), success(1)))
    with CaptureQueriesContext(connections[database]) as queries:
        assert finish_together(ended) == {taken[0].id, taken[2].id}
    assert len(queries) == 1
    assert list(GroupResult.objects.values_list("group_id", flat=True)) == ["[0]"]


@pytest.mark.parametrize(
    ("node", "outcome", "expected"),
    [
        ({}, {}, True),
        ({"child_count": 1}, {}, False),
        ({"limit_scope_id": new_id()}, {}, False),
        ({"stop_scope_id": new_id()}, {}, True),
        ({}, {"state": NodeState.FAILURE}, False),
        ({}, {"state": NodeState.SKIPPED}, False),
        ({}, {"added": ("a node",)}, False),
    ],
    ids=["leaf", "parent", "limited", "stopping", "failed", "skipped", "growing"],
)
def test_which_outcomes_can_wait(node, outcome, expected):
    ref = NodeRef(**{"id": uuid4(), "run_id": uuid4(), "parent_id": None, "task_id": uuid4(), "child_count": 0, **node})
    assert can_wait(ref, Outcome(**{"state": NodeState.SUCCESS, **outcome})) is expected


def test_the_number_of_statements_does_not_depend_on_the_number_of_nodes(database):
    counts = []
    for size in (2, 20):
        _, taker = fan(size)
        with CaptureQueriesContext(connections[database]) as queries:
            taken = take(taker, size)
        assert len(taken) == size
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] == {"postgresql": 1, "sqlite": 2}.get(connections[database].vendor, counts[0])
