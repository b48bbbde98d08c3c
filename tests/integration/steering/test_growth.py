"""Nodes that are added to a run from outside, while it goes on and after it has ended."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine import settle as engine_settle
from django_tasktree.engine.finish import finish
from django_tasktree.exceptions import BrokenReference, NotPossible
from django_tasktree.models import NodeRun
from tests.integration.engine.trees import SUCCESS
from tests.integration.steering.play import end, play, queued, states, take
from tests.sample.tasks import add as add_up
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def result():
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    tree.gather(echo, ["g"])
    return tree.apply_async()


def test_a_root_node_is_added_to_a_run_that_goes_on(result):
    new = result.add_task(echo, ["new"], by="test")
    assert queued(result.id) == ["a", "new"]
    assert play(result.id) == ["a", "new", "a1", "g"]
    assert new.successful()
    assert [(entry.action, entry.nodes) for entry in result.history] == [("add", 1)]


def test_a_node_is_added_below_one_that_has_not_run(result):
    result.children[0].add_task(echo, ["new"])
    assert queued(result.id) == ["a"]
    assert play(result.id) == ["a", "a1", "new", "g"]


def test_a_node_is_added_below_one_that_runs(result):
    """The message of the running attempt tells of no such child."""
    a = take(result.id, "a")
    result.children[0].add_task(echo, ["new"])
    end(a)
    assert play(result.id) == ["a1", "new", "g"]


def test_a_node_is_added_below_a_leaf_that_runs(result):
    end(take(result.id, "a"))
    leaf = take(result.id, "a1")
    result.children[0].children[0].add_task(echo, ["new"])
    end(leaf)
    assert play(result.id) == ["new", "g"]
    assert result.state == "SUCCESS"


def test_a_node_that_will_not_fit_is_skipped_and_leaves_nothing_hanging(result):
    end(take(result.id, "a"))
    leaf = take(result.id, "a1")
    result.children[0].children[0].add_task(echo, ["handler"], run_when="failure")
    end(leaf)
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"


def test_a_run_that_had_ended_goes_on(result):
    play(result.id)
    assert result.state == "SUCCESS"
    new = result.children[0].children[0].add_task(echo, ["new"])
    assert result.state == "STARTED"
    assert play(result.id) == ["new"]
    assert result.state == "SUCCESS"
    assert new.parent == result.children[0].children[0]


def test_a_node_below_one_that_has_ended_otherwise_is_skipped_at_once(result):
    play(result.id)
    new = result.children[0].add_task(echo, ["new"], run_when="failure")
    assert new.state == "SKIPPED"
    assert result.state == "SUCCESS"


def test_a_gather_node_is_added_to_what_has_ended(result):
    play(result.id)
    result.children[0].gather(echo, ["ag"])
    assert play(result.id) == ["ag"]
    assert result.state == "SUCCESS"


def test_a_node_takes_the_output_of_one_that_has_succeeded(result, eager):
    play(result.id)
    node = result.children[0]
    new = node.add_task(add_up, [node.output, 5])
    assert new.get(5) == 6


def test_an_output_that_is_not_there_is_refused(result):
    a, g = result.children
    with pytest.raises(
        BrokenReference, match=r"refers to the output of node \S+ \(tests\.sample\.tasks\.echo\), which is PENDING"
    ):
        a.add_task(echo, [g.output])
    assert len(states(result.id)) == 3


def test_nothing_is_added_below_a_skipped_node(result):
    play(result.id, a="failure")
    with pytest.raises(NotPossible, match="SKIPPED: what is added to it would never run"):
        result.children[0].children[0].add_task(echo, ["new"])


def test_add_task_against_finish_the_finish_first(result):
    end(take(result.id, "a"))
    finish(take(result.id, "a1"), SUCCESS)
    result.children[0].children[0].add_task(echo, ["new"])
    assert queued(result.id) == ["new"]


def test_add_task_against_settle_the_settle_loses(result, monkeypatch):
    """settle has looked at the parent, and marks it after a child was added: the parent must stay unsettled."""
    end(take(result.id, "a"))
    message = take(result.id, "a1")
    finish(message, SUCCESS)
    mark = engine_settle._mark

    def late(run_id, node_id, look):
        monkeypatch.undo()
        result.children[0].add_task(echo, ["new"])
        return mark(run_id, node_id, look)

    monkeypatch.setattr(engine_settle, "_mark", late)
    assert engine_settle.settle(message.run_id, message.parent_id).dispatches == ()
    assert not NodeRun.objects.get(args='["a"]').settled
    assert play(result.id) == ["new", "g"]


def test_add_task_against_the_end_of_the_run_the_end_loses(result, monkeypatch):
    for name in ("a", "a1"):
        end(take(result.id, name))
    message = take(result.id, "g")
    finish(message, SUCCESS)
    finished = engine_settle._end

    def late(run_id, revision):
        monkeypatch.undo()
        result.add_task(echo, ["new"])
        return finished(run_id, revision)

    monkeypatch.setattr(engine_settle, "_end", late)
    assert engine_settle.settle(message.run_id, None).ended is None
    assert result.state == "STARTED"
    assert play(result.id) == ["new"]
    assert result.state == "SUCCESS"


def test_add_task_against_a_gather_node_the_gather_node_waits(result, monkeypatch):
    """settle has seen that only the gather node is left; a node is added before it is queued."""
    end(take(result.id, "a"))
    message = take(result.id, "a1")
    finish(message, SUCCESS)
    stays = engine_settle._stays

    def late(*args):
        monkeypatch.undo()
        result.add_task(echo, ["new"])
        return stays(*args)

    monkeypatch.setattr(engine_settle, "_stays", late)
    assert engine_settle.settle(message.run_id, message.parent_id).dispatches == ()
    assert states(result.id)["g"] == "PENDING"
    assert play(result.id) == ["new", "g"]
