"""The indexes of some nodes only, and what databases that have no such indexes use instead."""

import uuid

import pytest
from django.db import connections

from django_tasktree.admin.tree import graph
from django_tasktree.encoding import times
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.backends import backend
from django_tasktree.engine.lifecycle.attempts import requeue
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.recovery.scan import unsettled
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.querysets import has_id
from django_tasktree.states import NodeState
from tests import databases, services
from tests.integration.engine.trees import insert_run, ref, tree_of

EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN", "mysql": "EXPLAIN"}


@pytest.fixture
def run(database):
    """Return a large run, most of whose nodes have settled, after the database has made statistics of it."""
    launched = insert_run(tree_of([[] for _ in range(1500)], *[[] for _ in range(1500)]))[0]
    NodeRun.objects.filter(run_id=launched.run_id, position__gte=100).update(state="SUCCESS", settled=True)
    NodeRun.objects.filter(run_id=launched.run_id, position=1499, parent__isnull=False).update(is_gather=True)
    analyze()
    return TreeRun.objects.get(id=launched.run_id)


def analyze():
    """Let the database make statistics of the nodes."""
    connection = connections[databases.active_alias()]
    with connection.cursor() as cursor:
        table = "TABLE " if connection.vendor == "mysql" else ""
        cursor.execute(f"ANALYZE {table}{NodeRun._meta.db_table}")


def plan_of(statement, *values):
    """Return the plan of a statement as a text."""
    vendor = connections[databases.active_alias()].vendor
    return str(backend().rows(f"{EXPLAIN[vendor]} {statement}", *values))


@pytest.mark.parametrize("state", [NodeState.QUEUED, NodeState.STARTED, NodeState.FAILURE])
def test_the_sweep_reads_unsettled_nodes_by_index(run, state):
    after = NodeRun.objects.filter(run_id=run.id).order_by("id")[5].id
    assert "tasktree_node_sweep" in unsettled(state).filter(id__gt=after).order_by("id")[:500].explain()


def test_the_sweep_finds_waits_by_their_time(run):
    """As long as no wait is due, this reads no rows. Other databases read the nodes that wait."""
    NodeRun.objects.filter(run_id=run.id, settled=False).update(state="WAITING", eta=times.after(times.now(), 3600))
    analyze()
    plan = unsettled(NodeState.WAITING).filter(eta__lte=times.now()).order_by("eta", "id")[:500].explain()
    has_partial = connections[databases.active_alias()].features.supports_partial_indexes
    assert ("tasktree_node_due" if has_partial else "tasktree_node_sweep") in plan


def test_settle_finds_an_unsettled_child_by_index(run):
    parent = NodeRun.objects.filter(run_id=run.id).order_by("id")[0].id
    assert "tasktree_node_unsettled" in plan_of(backend().look_at_node_statement, parent, parent, parent)
    assert "tasktree_node_unsettled" in plan_of(backend().look_at_run_statement, run.id, run.id)


def test_the_graph_finds_gather_nodes_among_many_children_by_index(run, monkeypatch):
    parent = NodeRun.objects.filter(run_id=run.id).order_by("id")[0].id
    has_partial = connections[databases.active_alias()].features.supports_partial_indexes
    plans = []

    def in_order(queryset):
        plans.append(queryset.explain())
        return queryset.order_by("position")

    monkeypatch.setattr(type(NodeRun.objects.all()), "in_order", in_order)
    assert [node.position for node in graph._gather_nodes(run, [parent])] == [1499]
    assert ("tasktree_node_gathers" if has_partial else "tasktree_node_unsettled") in plans[0]


def test_a_node_is_found_by_the_task_ids_of_its_current_attempt_and_by_its_id(database):
    run_id = insert_run(tree_of([], []))[0].run_id
    first, second = NodeRun.objects.filter(run_id=run_id).order_by("id").values_list("id", flat=True)
    assert claim(ref(second), "w")
    requeue(ref(second), "lost", NodeError("Lost", ""))
    later = ref(second).task_id
    assert later != second
    for key, found in [(first, [first]), (later, [second]), (second, [second]), (uuid.uuid4(), [])]:
        assert [node.id for node in NodeRun.objects.filter(has_id(key))] == found


def test_an_id_or_a_task_id_is_found_by_indexes(run):
    plan = NodeRun.objects.filter(has_id(uuid.uuid4())).explain()
    assert "tasktree_node_task_id" in plan
    assert "Seq Scan" not in plan
    assert "SCAN " not in plan


def test_postgresql_and_sqlite_leave_out_most_nodes(database):
    connection = connections[database]
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, NodeRun._meta.db_table)
    if connection.features.supports_partial_indexes:
        assert found["tasktree_node_sweep"]["columns"] == ["state", "id"]
        assert found["tasktree_node_unsettled"]["columns"] == ["parent_id", "run_id", "is_gather", "position"]
        assert found["tasktree_node_gathers"]["columns"] == ["parent_id", "run_id", "position"]
    else:
        assert found["tasktree_node_sweep"]["columns"] == ["settled", "state", "id"]
        assert found["tasktree_node_unsettled"]["columns"][:3] == ["settled", "parent_id", "run_id"]
        assert "tasktree_node_gathers" not in found


def test_an_index_can_be_removed_and_added(database):
    connection = connections[database]
    for index in NodeRun._meta.indexes:
        if index.name not in {"tasktree_node_gathers", "tasktree_node_sweep"}:
            continue
        with connection.schema_editor(atomic=False) as editor:
            editor.remove_index(NodeRun, index)
            editor.add_index(NodeRun, index)


@pytest.mark.django_db(databases="__all__")
def test_postgresql_writes_a_settled_node_to_four_indexes():
    services.need(services.POSTGRESQL)
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [NodeRun._meta.db_table])
        conditions = {name: text.partition(" WHERE ")[2] for name, text in cursor.fetchall()}
    assert conditions == {
        "django_tasktree_noderun_pkey": "",
        "tasktree_node_children": "",
        "tasktree_node_state": "",
        "tasktree_node_due": "((NOT settled) AND ((state)::text = 'WAITING'::text))",
        "tasktree_node_sweep": "(NOT settled)",
        "tasktree_node_unsettled": "(NOT settled)",
        "tasktree_node_gathers": "is_gather",
        "tasktree_node_labels": "(label IS NOT NULL)",
        "tasktree_node_task_id": "",
    }
