"""The engine's queries use the intended indexes (PostgreSQL's planner, on 6,000 nodes)."""

import json

import pytest
from django.db import connections

from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.postgresql import PostgreSQL
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.release import queued_children
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import Taker
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import ACTIVE, NodeState
from tests import databases, services
from tests.integration.engine.trees import SUCCESS, insert_run, tree_of

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


#: The index that finds the row of a run.
_OF_RUNS = f"{TreeRun._meta.db_table}_pkey"


@pytest.fixture(autouse=True)
def fresh_tables(transactional_db):
    """Truncate the tables: the planner considers the size of their files, in which other tests leave dead rows."""
    services.need(services.POSTGRESQL)
    with connections["postgresql"].cursor() as cursor:
        cursor.execute(f"TRUNCATE {TreeRun._meta.db_table} CASCADE")


@pytest.fixture
def runs(fresh_tables):
    """Yield two large runs, with statistics of their tables."""
    with databases.active("postgresql"):
        launched = [insert_run(tree_of([[] for _ in range(1500)], *[[] for _ in range(1500)]))[0] for _ in range(2)]
        with connections["postgresql"].cursor() as cursor:
            cursor.execute(f"ANALYZE {NodeRun._meta.db_table}")
            cursor.execute(f"ANALYZE {TreeRun._meta.db_table}")
        yield launched


def first_root(run):
    """Return the first root node of a run, of which there are too many to be returned by its launch as a list."""
    return next(iter(queued_children(run.run_id, None)))


def indexes(queryset):
    """Return the names of the indexes in a query's plan, and "Seq Scan" if it reads the whole table of nodes."""
    return indexes_of_plan(json.loads(queryset.explain(format="json")))


def indexes_of_plan(plan):
    """Return the names of the indexes in a plan."""
    found, stack = set(), [part["Plan"] for part in plan]
    while stack:
        part = stack.pop()
        stack.extend(part.get("Plans", ()))
        if part["Node Type"] == "Seq Scan" and part["Relation Name"] == NodeRun._meta.db_table:
            found.add("Seq Scan")
        # An index-only part of a plan does not name its table.
        if part.get("Index Name", _OF_RUNS) != _OF_RUNS and part.get("Relation Name") != TreeRun._meta.db_table:
            found.add(part["Index Name"])
    return found


def test_claim_and_finish_use_the_primary_key(runs):
    root = first_root(runs[0])
    mine = nodes().filter(id=root.id, task_id=root.task_id, state=NodeState.QUEUED)
    # Either index finds the row.
    assert indexes(mine) in ({"django_tasktree_noderun_pkey"}, {"tasktree_node_task_id"})


def test_children_are_read_in_order(runs):
    root = first_root(runs[0])
    children = nodes().under(root.run_id, root.id).in_order()[:50]
    assert indexes(children) == {"tasktree_node_children"}


def indexes_of_look(run):
    """Return the indexes with which settle looks below a node."""
    statement = "EXPLAIN (FORMAT JSON)" + PostgreSQL.look_at_node_statement
    return indexes_of_plan(backend().rows(statement, *[first_root(run).id] * 3)[0][0])


def indexes_of_look_at_run(run):
    """Return the indexes with which settle looks at the root nodes of a run."""
    return indexes_of_plan(
        backend().rows("EXPLAIN (FORMAT JSON)" + PostgreSQL.look_at_run_statement, run.run_id, run.run_id)[0][0]
    )


#: The indexes with which settle looks for unsettled nodes, and for gather nodes with a quorum.
BELOW = {"tasktree_node_unsettled", "tasktree_node_gathers"}


def test_settle_looks_for_unsettled_nodes_by_index(runs):
    assert indexes_of_look(runs[0]) == {"django_tasktree_noderun_pkey", *BELOW}


def test_settle_looks_for_unsettled_root_nodes_by_index(runs):
    assert indexes_of_look_at_run(runs[0]) == BELOW


@pytest.fixture
def old_statistics(fresh_tables):
    """Keep the statistics those of small runs only, as they are while a large run is launched."""
    table = NodeRun._meta.db_table
    with databases.active("postgresql"), connections["postgresql"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        try:
            for _ in range(50):
                insert_run(tree_of([[], [], []]))
            cursor.execute(f"ANALYZE {table}")
            yield
        finally:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


def test_settle_needs_no_statistics_of_a_new_run(old_statistics):
    run = insert_run(tree_of([[] for _ in range(5000)], *[[] for _ in range(5000)]))[0]
    assert indexes_of_look(run) == {"django_tasktree_noderun_pkey", *BELOW}
    nodes().filter(run_id=run.run_id, position__lt=4990).update(settled=True, state="SUCCESS")
    # Any index that begins with the parent is good; this one would read the whole run.
    assert "tasktree_node_state" not in indexes_of_look(run)


@pytest.mark.parametrize("children", [1, 3])
@pytest.mark.parametrize("goes_on", [False, True])
def test_finish_needs_no_statistics_of_a_new_run(old_statistics, children, goes_on):
    """Finishing a node reads no other nodes of its run than its children."""
    run = insert_run(tree_of([[] for _ in range(children)], *[[] for _ in range(5000)]))[0]
    root = first_root(run)
    claim(root, "w")
    taker = Taker(run.run_id, root.lane, new_id(), "w", new_id()) if goes_on else None
    executed = []

    def explained(execute, sql, params, many, context):
        if "released" in sql:
            executed.append((sql, params))
        return execute(sql, params, many, context)

    with connections["postgresql"].execute_wrapper(explained):
        finish(root, SUCCESS, taker=taker)
    ((sql, values),) = executed
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) " + sql, values)
        used = indexes_of_plan(cursor.fetchall()[0][0])
    assert used <= {"django_tasktree_noderun_pkey", "tasktree_node_children", "tasktree_node_unsettled"}


def test_root_nodes_are_read_in_order(runs):
    roots = nodes().under(runs[0].run_id, None).in_order()[:50]
    assert indexes(roots) == {"tasktree_node_children"}


def test_nodes_in_a_state_are_found_by_index(runs):
    failed = nodes().filter(run_id=runs[0].run_id, state=NodeState.FAILURE)
    assert indexes(failed) == {"tasktree_node_state"}


def test_a_node_is_found_by_its_task_id(runs):
    found = nodes().filter(task_id=first_root(runs[0]).task_id)
    assert indexes(found) == {"tasktree_node_task_id"}


def test_advance_finds_runnable_nodes_and_counts_active_ones_by_index(runs):
    run_id = runs[0].run_id
    runnable = nodes().filter(run_id=run_id, state=NodeState.PENDING, runnable=True, hold="", limit_scope_id=run_id)
    assert indexes(runnable.order_by("id")[:5]) == {"tasktree_node_state"}
    assert indexes(nodes().filter(run_id=run_id, state__in=ACTIVE, limit_scope_id=run_id)) == {"tasktree_node_state"}
