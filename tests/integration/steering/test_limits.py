"""``max_active``: at most so many nodes at once, on a tree and below a node."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.advance import advance
from django_tasktree.exceptions import InvalidOption
from django_tasktree.models import NodeRun
from tests.integration.engine.test_query_counts import statements
from tests.integration.steering.play import end, play, queued, take
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


def test_a_node_limits_what_is_below_it_and_nothing_else():
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
    from django_tasktree.engine.retry import retry
    from django_tasktree.engine.specs import NodeError

    tree = TaskTree(max_active=1)
    tree.add_task(echo, ["a"])
    tree.add_task(echo, ["b"])
    result = tree.apply_async()
    retry(take(result.id, "a"), NodeError("E", "x"), None)
    assert queued(result.id) == []


@pytest.mark.parametrize("outcome", ["failure", "stop"])
def test_a_place_becomes_free_however_a_node_ends(outcome):
    tree = TaskTree(max_active=1)
    for name in ("a", "b", "c"):
        tree.add_task(echo, [name])
    result = tree.apply_async()
    assert play(result.id, a=outcome, b=outcome) == ["a", "b", "c"]


def test_what_bodies_add_counts_as_well():
    from django_tasktree.blueprint import draw
    from django_tasktree.engine.specs import Outcome, Place
    from django_tasktree.nodes import NodeParent
    from django_tasktree.states import NodeState
    from django_tasktree.worker.follow import conclude

    tree = TaskTree()
    tree.add_task(echo, ["a"], max_active=1)
    result = tree.apply_async()
    message = take(result.id, "a")
    assert message.max_active == 1
    grown = NodeParent()
    for number in range(3):
        grown.add_task(echo, [f"n{number}"])
    specs = tuple(draw(grown, Place(message.run_id, message.id, 0, None, message.id)).specs)
    conclude(message, Outcome(NodeState.SUCCESS, result="1", added=specs))
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
    with pytest.raises(InvalidOption, match="max_active below another"):
        tree.apply_async()


@pytest.mark.parametrize("value", [0, -1, "3", 1.5])
def test_a_limit_is_a_number(value):
    with pytest.raises(InvalidOption, match="max_active"):
        TaskTree(max_active=value)


def _advanced(run_id):
    return list(advance(run_id, run_id))


def test_the_next_one_costs_the_same_however_many_wait(database):
    counts = []
    for size in (5, 500):
        tree = TaskTree(max_active=1)
        for number in range(size):
            tree.add_task(echo, [f"n{number}"])
        result = tree.apply_async()
        end(take(result.id, "n0"))
        NodeRun.objects.filter(run_id=result.id, state="QUEUED").update(state="PENDING", ready=True)
        count, dispatches = statements(database, _advanced, result.id)
        counts.append(count)
        assert [dispatch.args for dispatch in dispatches] == ['["n1"]']
    # The lock, the run, what is active, what is ready, the move.
    assert counts == [5, 5]
