"""The statements that run for every node work if PostgreSQL binds their values and prepares them."""

from uuid import uuid4

import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.advance import advance
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.finish_together import finish_together
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.engine.lifecycle.take import take
from django_tasktree.engine.statement_limits import limited_statements
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import NodeRef, Taker
from django_tasktree.models import NodeRun, TreeRun
from tests import databases, services
from tests.integration.engine.trees import SUCCESS, insert_run
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
#: Django's options of the database, without the number of executions after which a statement is prepared.
BINDING = {"server_side_binding": True}


@pytest.fixture(params=[0, 1, None], ids=["prepared at once", "prepared later", "never prepared"])
def threshold(request, monkeypatch):
    """Let PostgreSQL bind the values; return after how many executions a statement is prepared."""
    services.need(services.POSTGRESQL)
    connection = connections["postgresql"]
    options = {**connection.settings_dict.get("OPTIONS", {}), **BINDING, "prepare_threshold": request.param}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    with databases.active("postgresql"):
        yield request.param
    connection.close()


def prepared():
    """Return the statements that the session has prepared."""
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return " ".join(text for (text,) in cursor.fetchall())


def run_one_by_one(tree):
    """Run a tree, one message at a time, to the end of its run."""
    launched, _ = insert_run(tree)
    queue = [*launched.dispatches, *advance(launched.run_id)]
    while queue:
        node = NodeRef.of(queue.pop())
        assert claim(node, "w", uuid4())
        queue += finish(node, SUCCESS).dispatches
        queue += settle(node.run_id, node.id if node.child_count else node.parent_id).dispatches
        queue += advance(node.run_id)
    assert TreeRun.objects.get(id=launched.run_id).state == "SUCCESS"


def run_in_lane(tree):
    """Run a tree of root nodes, which one process takes, to the end of its run."""
    run_id = insert_run(tree)[0].run_id
    lane = nodes().filter(run_id=run_id).values_list("lane", flat=True)[0]
    while taken := take(Taker(run_id, lane, uuid4(), "w", uuid4()), 3):
        assert len(finish_together([(NodeRef.of(dispatch), SUCCESS) for dispatch in taken])) == len(taken)
    settle(run_id, None)
    assert TreeRun.objects.get(id=run_id).state == "SUCCESS"


def fan(size, **options):
    tree = TaskTree(**options)
    for number in range(size):
        tree.add_task(echo, [number])
    return tree


def chain_with_gather():
    tree = TaskTree()
    first = tree.add_task(echo, [1])
    first.add_task(echo, [2]).add_task(echo, [3]).add_task(echo, [4])
    first.gather(echo, [5])
    tree.gather(echo, [6])
    return tree


def test_trees_run_to_their_end(threshold):
    for _ in range(3):
        run_one_by_one(chain_with_gather())
        run_one_by_one(fan(4, max_active=2))
        run_in_lane(fan(20))
        with limited_statements():
            assert not NodeRun.objects.filter(settled=False).exists()
    statements = prepared()
    for part in ("state IN ('QUEUED', 'RETRY')", "WITH takeable AS", "FROM unnest", "LEFT JOIN released"):
        assert (part in statements) == (threshold is not None)
