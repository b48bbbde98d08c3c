"""``max_active``: the limit for active nodes, of a tree and below a node."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.advance import advance
from django_tasktree.exceptions import InvalidOption
from django_tasktree.models import NodeRun
from tests.integration.control.play import end, play, queued, take
from tests.integration.engine.test_query_counts import statements
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


def test_a_tree_never_has_more_than_its_limit_active():
    tree = TaskTree(max_active=2)
    for number in range(5):
        tree.add_task(echo, [f"n{number}"]).add_task(echo, [f"m{number}"])
    result = tree.apply_async()
    seen = 0
    while names := queued(result.id):
        assert len(names) <= 2
        message = take(result.id, names[0])
        assert NodeRun.objects.filter(run_id=result.id, state__in=["QUEUED", "STARTED"]).count() <= 2
        end(message)
        seen += 1
    assert seen == 10
    assert result.state == "SUCCESS"


def test_a_node_limits_only_the_nodes_below_it():
    tree = TaskTree()
    limited = tree.add_task(echo, ["limited"], max_active=1)
    for number in range(3):
        limited.add_task(echo, [f"n{number}"]).add_task(echo, [f"m{number}"])
    limited.gather(echo, ["g"])
    free = tree.add_task(echo, ["free"])
    for number in range(3):
        free.add_task(echo, [f"f{number}"])
    result = tree.apply_async()
    end(take(result.id, "limited"))
    end(take(result.id, "free"))
    assert sorted(queued(result.id)) == ["f0", "f1", "f2", "n0"]
    order = []
    for name in ("f0", "f1", "f2"):
        end(take(result.id, name))
    while names := queued(result.id):
        assert len(names) == 1
        order.append(names[0])
        end(take(result.id, names[0]))
    assert sorted(order) == ["g", "m0", "m1", "m2", "n0", "n1", "n2"]
    assert order[-1] == "g"
    assert result.state == "SUCCESS"


def test_both_limits_hold():
    tree = TaskTree(max_active=3)
    for host in ("x", "y", "z"):
        top = tree.add_task(echo, [host], max_active=1)
        for number in range(3):
            top.add_task(echo, [f"{host}{number}"])
    result = tree.apply_async()
    while names := queued(result.id):
        assert len(names) <= 3
        for host in ("x", "y", "z"):
            assert len([name for name in names if name.startswith(host) and len(name) > 1]) <= 1
        end(take(result.id, names[0]))
    assert result.state == "SUCCESS"


def test_a_retry_keeps_its_place():
    from django_tasktree.encoding.node_error import NodeError
    from django_tasktree.engine.lifecycle.attempts import retry

    tree = TaskTree(max_active=1)
    tree.add_task(echo, ["a"])
    tree.add_task(echo, ["b"])
    result = tree.apply_async()
    retry(take(result.id, "a"), NodeError("E", "x"), None)
    assert queued(result.id) == []


@pytest.mark.parametrize("outcome", ["failure", "stop"])
def test_every_outcome_of_a_node_frees_its_place(outcome):
    tree = TaskTree(max_active=1)
    for name in ("a", "b", "c"):
        tree.add_task(echo, [name])
    result = tree.apply_async()
    assert play(result.id, a=outcome, b=outcome) == ["a", "b", "c"]


def test_the_limit_includes_nodes_that_task_functions_add():
    from django_tasktree.builder.nodes import NodeParent
    from django_tasktree.builder.plan import plan_nodes
    from django_tasktree.dispatch.after_commit import finish_and_propagate
    from django_tasktree.engine.types import Outcome, Placement
    from django_tasktree.states import NodeState

    tree = TaskTree()
    tree.add_task(echo, ["a"], max_active=1)
    result = tree.apply_async()
    message = take(result.id, "a")
    assert message.max_active == 1
    added_at_runtime = NodeParent()
    for number in range(3):
        added_at_runtime.add_task(echo, [f"n{number}"])
    specs = tuple(plan_nodes(added_at_runtime, Placement(message.run_id, message.id, 0, None, message.id)))
    finish_and_propagate(message, Outcome(NodeState.SUCCESS, result="1", added=specs))
    assert queued(result.id) == ["n0"]
    assert play(result.id) == ["n0", "n1", "n2"]


def test_a_paused_run_with_a_limit():
    tree = TaskTree(max_active=1)
    for name in ("a", "b", "c"):
        tree.add_task(echo, [name])
    result = tree.apply_async()
    a = take(result.id, "a")
    result.pause()
    end(a)
    assert queued(result.id) == []
    result.resume()
    assert queued(result.id) == ["b"]
    assert play(result.id) == ["b", "c"]


def test_limits_do_not_nest():
    tree = TaskTree()
    tree.add_task(echo, max_active=2).add_task(echo, max_active=1).add_task(echo)
    with pytest.raises(InvalidOption, match="has max_active, and so has a node above it"):
        tree.apply_async()


@pytest.mark.parametrize("value", [0, -1, "3", 1.5])
def test_a_limit_is_a_positive_integer(value):
    with pytest.raises(InvalidOption, match="max_active"):
        TaskTree(max_active=value)


def _advance(run_id):
    """Advance a run and return its dispatches."""
    return list(advance(run_id, run_id))


def test_the_statements_of_advance_do_not_depend_on_the_number_of_runnable_nodes(database):
    counts = []
    for size in (5, 500):
        tree = TaskTree(max_active=1)
        for number in range(size):
            tree.add_task(echo, [f"n{number}"])
        result = tree.apply_async()
        end(take(result.id, "n0"))
        NodeRun.objects.filter(run_id=result.id, state="QUEUED").update(state="PENDING", runnable=True)
        count, dispatches = statements(database, _advance, result.id)
        counts.append(count)
        assert [dispatch.args for dispatch in dispatches] == ['["n1"]']
    # The lock, the run, the active nodes, the runnable nodes, the move.
    assert counts == [5, 5]
