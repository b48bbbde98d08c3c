"""The number of statements of each operation of the engine, which does not depend on the size of the tree."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.encoding.serialization import loads
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.engine.types import Released
from django_tasktree.models import NodeRun
from django_tasktree.worker.arguments import fill_in
from tests.integration.engine.trees import SUCCESS, insert_run, ref, tree_of
from tests.sample.tasks import echo, total

TRANSACTION = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "START TRANSACTION")


def statements(alias, function, *args):
    """Return the number of statements of a call, without transaction control, and its result."""
    with CaptureQueriesContext(connections[alias]) as context:
        outcome = function(*args)
        if isinstance(outcome, Released):
            outcome = list(outcome.dispatches)
    sql = [query["sql"] for query in context.captured_queries]
    return len([line for line in sql if not line.startswith(TRANSACTION)]), outcome


@pytest.mark.parametrize("siblings", [5, 1000])
def test_each_operation_on_a_leaf_takes_one_statement(database, siblings):
    tree = tree_of([[] for _ in range(siblings)])
    launched, _ = insert_run(tree)
    (root,) = launched.dispatches
    root_ref = ref(root.id)
    claim(root_ref, "w")
    leaf = next(iter(finish(root_ref, SUCCESS).dispatches))
    leaf_ref = ref(leaf.id)
    assert statements(database, claim, leaf_ref, "w")[0] == 1
    assert statements(database, finish, leaf_ref, SUCCESS)[0] == 1
    assert statements(database, settle, leaf_ref.run_id, leaf_ref.parent_id)[0] == 1


@pytest.mark.parametrize("children", [1, 10, 400])
def test_finishing_a_parent_takes_three_statements_at_most(database, children):
    launched, _ = insert_run(tree_of([[] for _ in range(children)]))
    message = ref(launched.dispatches[0].id)
    claim(message, "w")
    # Update the node, read its children, queue them. PostgreSQL does all three at once.
    count, queued = statements(database, finish, message, SUCCESS)
    assert count == (1 if database == "postgresql" else 3)
    assert len(queued) == children


def test_a_wide_fan_is_queued_at_once_and_read_in_pages(database):
    launched, _ = insert_run(tree_of([[] for _ in range(1200)]))
    message = ref(launched.dispatches[0].id)
    claim(message, "w")
    count, queued = statements(database, finish, message, SUCCESS)
    # The node, one look, skip, queue, make runnable, and 1200 children in pages of 500 with a last empty one.
    assert count == 5 + 4
    assert len(queued) == len({dispatch.id for dispatch in queued}) == 1200


def test_a_launch_takes_one_statement_per_batch(database):
    for nodes, batches in [(1, 1), (10, 1), (500, 1), (501, 2), (2000, 4)]:
        # One more for the run.
        assert statements(database, insert_run, tree_of(*[[] for _ in range(nodes)]))[0] == batches + 1


def test_the_root_nodes_of_a_launch_are_read_in_pages_if_they_are_many(database, settings):
    settings.TASKTREE = {"BATCH_SIZE": 100}
    tree = tree_of(*[[] for _ in range(100)])
    tree.gather(echo)
    few, keys = insert_run(tree)
    read, dispatches = statements(database, list, few.dispatches)
    assert (read, [dispatch.id for dispatch in dispatches]) == (0, [keys[node] for node in tree.children[:100]])
    tree = tree_of(*[[[]] for _ in range(101)])
    many, keys = insert_run(tree)
    read, dispatches = statements(database, list, many.dispatches)
    assert (read, [dispatch.id for dispatch in dispatches]) == (3, [keys[node] for node in tree.children])


@pytest.mark.parametrize("depth", [20, 400])
def test_a_deep_chain_settles_in_few_statements(database, depth):
    tree = TaskTree()
    for _ in range(depth):
        tree.push(echo)
    launched, _ = insert_run(tree)
    (dispatch,) = launched.dispatches
    while True:
        message = ref(dispatch.id)
        claim(message, "w")
        following = list(finish(message, SUCCESS).dispatches)
        if not following:
            break
        (dispatch,) = following
    count, settled = statements(database, settle, message.run_id, message.parent_id)
    assert settled.ended == "SUCCESS"
    # Three single steps of three statements, one settle_chain() of four, and three for the run.
    assert count <= 3 * 3 + 4 + 3


@pytest.mark.long
def test_the_statements_for_the_last_child_before_a_gather_node_are_constant(database):
    """These are finish, settle with the start of the gather node, and its single query for all results."""
    counts = []
    for size in (5, 50_000 if database == "postgresql" else 1_000):
        tree = TaskTree()
        root = tree.add_task(echo)
        for number in range(size):
            root.add_task(echo, [number])
        root.gather(total, [root.outputs])
        launched, keys = insert_run(tree)
        message = ref(launched.dispatches[0].id)
        claim(message, "w")
        finish(message, SUCCESS)
        children = NodeRun.objects.filter(parent_id=message.id, is_gather=False)
        children.exclude(id=keys[root.children[0]]).update(state="SUCCESS", settled=True, result="1")
        with connections[database].cursor() as cursor:
            cursor.execute("ANALYZE" if database != "mariadb" else "ANALYZE TABLE django_tasktree_noderun")
        last = ref(keys[root.children[0]])
        claim(last, "w")
        finishing, _ = statements(database, finish, last, SUCCESS)
        settling, settled = statements(database, settle, last.run_id, last.parent_id)
        (gather,) = settled.dispatches
        reading, filled = statements(database, fill_in, last.run_id, loads(gather.args), {})
        assert sum(filled[0][0]) == size
        counts.append((finishing, settling, reading))
    # One for the leaf; the look, the lock, the gather nodes, the failures, the move; one for the results.
    assert counts == [(1, 5, 1), (1, 5, 1)]
