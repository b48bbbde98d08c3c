"""The engine's queries use the indexes that were made for them (PostgreSQL's planner, on 6,000 nodes)."""

import json

import pytest
from django.db import connections

from django_tasktree.engine import sql
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.settle import _LOOK, _LOOK_AT_RUN
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import ACTIVE, NodeState
from tests import databases, services
from tests.integration.engine.trees import persist, tree_of

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


#: By which the one row of a run is read.
_OF_RUNS = f"{TreeRun._meta.db_table}_pkey"


@pytest.fixture(autouse=True)
def fresh_tables(transactional_db):
    """The planner looks at the size of files, in which other tests have left dead rows."""
    services.need(services.POSTGRESQL)
    with connections["postgresql"].cursor() as cursor:
        cursor.execute(f"TRUNCATE {TreeRun._meta.db_table} CASCADE")


@pytest.fixture
def runs(fresh_tables):
    with databases.active("postgresql"):
        launched = [persist(tree_of([[] for _ in range(1500)], *[[] for _ in range(1500)]))[0] for _ in range(2)]
        with connections["postgresql"].cursor() as cursor:
            cursor.execute(f"ANALYZE {NodeRun._meta.db_table}")
            cursor.execute(f"ANALYZE {TreeRun._meta.db_table}")
        yield launched


def indexes(queryset):
    """The names of the indexes in a query's plan; "Seq Scan" stands for a table that is read whole."""
    return used(json.loads(queryset.explain(format="json")))


def used(plan):
    found, stack = set(), [part["Plan"] for part in plan]
    while stack:
        part = stack.pop()
        stack.extend(part.get("Plans", ()))
        if part["Node Type"] == "Seq Scan" and part["Relation Name"] == NodeRun._meta.db_table:
            found.add("Seq Scan")
        # A part that only reads an index does not name its table.
        if part.get("Index Name", _OF_RUNS) != _OF_RUNS and part.get("Relation Name") != TreeRun._meta.db_table:
            found.add(part["Index Name"])
    return found


def test_claim_and_finish_use_the_primary_key(runs):
    root = runs[0].dispatches[0]
    mine = nodes().filter(id=root.id, task_id=root.task_id, state=NodeState.QUEUED)
    # Either finds the one row.
    assert indexes(mine) in ({"django_tasktree_noderun_pkey"}, {"tasktree_node_task_id"})


def test_children_are_read_in_order(runs):
    root = runs[0].dispatches[0]
    children = nodes().under(root.run_id, root.id).in_order()[:50]
    assert indexes(children) == {"tasktree_node_children"}


def plan_of_look(run):
    return used(sql.rows("EXPLAIN (FORMAT JSON)" + _LOOK, *[run.dispatches[0].id] * 2)[0][0])


def plan_of_look_at_run(run):
    return used(sql.rows("EXPLAIN (FORMAT JSON)" + _LOOK_AT_RUN, run.run_id, run.run_id)[0][0])


def test_settle_looks_for_unsettled_nodes_by_index(runs):
    assert plan_of_look(runs[0]) == {"django_tasktree_noderun_pkey", "tasktree_node_unsettled"}


def test_settle_looks_for_unsettled_root_nodes_by_index(runs):
    assert plan_of_look_at_run(runs[0]) == {"tasktree_node_unsettled"}


def test_settle_needs_no_statistics_of_a_new_run(transactional_db):
    """What was analysed last knows only small runs, as it is while a large one is launched."""
    services.need(services.POSTGRESQL)
    table = NodeRun._meta.db_table
    with databases.active("postgresql"), connections["postgresql"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        try:
            for _ in range(50):
                persist(tree_of([[], [], []]))
            cursor.execute(f"ANALYZE {table}")
            run = persist(tree_of([[] for _ in range(5000)], *[[] for _ in range(5000)]))[0]
            assert plan_of_look(run) == {"django_tasktree_noderun_pkey", "tasktree_node_unsettled"}
            nodes().filter(run_id=run.run_id, position__lt=4990).update(settled=True, state="SUCCESS")
            # Whichever of those that begin with the parent: never one that leads through the whole run.
            assert "tasktree_node_state" not in plan_of_look(run)
        finally:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


def test_root_nodes_are_read_in_order(runs):
    roots = nodes().under(runs[0].run_id, None).in_order()[:50]
    assert indexes(roots) == {"tasktree_node_children"}


def test_nodes_in_a_state_are_found_by_index(runs):
    failed = nodes().filter(run_id=runs[0].run_id, state=NodeState.FAILURE)
    assert indexes(failed) == {"tasktree_node_state"}


def test_a_node_is_found_by_its_task_id(runs):
    found = nodes().filter(task_id=runs[0].dispatches[0].task_id)
    assert indexes(found) == {"tasktree_node_task_id"}


def test_advance_finds_what_is_ready_and_counts_what_is_active_by_index(runs):
    run_id = runs[0].run_id
    ready = nodes().filter(run_id=run_id, state=NodeState.PENDING, ready=True, hold="", limiter=run_id)
    assert indexes(ready.order_by("id")[:5]) == {"tasktree_node_state"}
    assert indexes(nodes().filter(run_id=run_id, state__in=ACTIVE, limiter=run_id)) == {"tasktree_node_state"}
