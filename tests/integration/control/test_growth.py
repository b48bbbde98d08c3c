"""Nodes that are added to a run from outside, while it is open and after it has ended."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.exceptions import BrokenReference, NotPossible
from django_tasktree.models import NodeRun
from tests.integration.control.play import end, play, queued, states, take
from tests.integration.engine.trees import SUCCESS
from tests.interleaving import before_statement
from tests.sample.tasks import add as add_up
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")

#: Statements of settle: they mark a node as settled, end the run, and lock it before a gather node is queued.
MARK = "UPDATE django_tasktree_noderun SET settled"
END = "UPDATE django_tasktree_treerun SET state"
LOCK = "UPDATE django_tasktree_treerun SET revision"


@pytest.fixture
def result():
    """Return a run of a chain and a gather node."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    tree.gather(echo, ["g"])
    return tree.apply_async()


def test_a_root_node_is_added_to_an_open_run(result):
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
    """The message of the running attempt does not count this child."""
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


def test_an_added_node_whose_condition_does_not_hold_is_skipped_and_the_run_ends(result):
    end(take(result.id, "a"))
    leaf = take(result.id, "a1")
    result.children[0].children[0].add_task(echo, ["handler"], run_when="failure")
    end(leaf)
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"


def test_a_run_that_had_ended_is_reopened(result):
    play(result.id)
    assert result.state == "SUCCESS"
    new = result.children[0].children[0].add_task(echo, ["new"])
    assert result.state == "STARTED"
    assert play(result.id) == ["new"]
    assert result.state == "SUCCESS"
    assert new.parent == result.children[0].children[0]


def test_a_node_added_below_a_node_with_another_outcome_is_skipped_at_once(result):
    play(result.id)
    new = result.children[0].add_task(echo, ["new"], run_when="failure")
    assert new.state == "SKIPPED"
    assert result.state == "SUCCESS"


def test_a_gather_node_is_added_below_a_node_that_has_ended(result):
    play(result.id)
    result.children[0].gather(echo, ["ag"])
    assert play(result.id) == ["ag"]
    assert result.state == "SUCCESS"


def test_a_node_takes_the_output_of_one_that_has_succeeded(result, eager):
    play(result.id)
    node = result.children[0]
    new = node.add_task(add_up, [node.output, 5])
    assert new.get(5) == 6


def test_an_output_that_does_not_exist_yet_is_refused(result):
    a, g = result.children
    with pytest.raises(
        BrokenReference, match=r"refers to the output of node \S+ \(tests\.sample\.tasks\.echo\), which is PENDING"
    ):
        a.add_task(echo, [g.output])
    assert len(states(result.id)) == 3


def test_no_node_can_be_added_below_a_skipped_node(result):
    play(result.id, a="failure")
    with pytest.raises(NotPossible, match="SKIPPED: nodes added to it would never run"):
        result.children[0].children[0].add_task(echo, ["new"])


def test_a_node_is_added_between_finish_and_settle(result):
    end(take(result.id, "a"))
    finish(take(result.id, "a1"), SUCCESS)
    result.children[0].children[0].add_task(echo, ["new"])
    assert queued(result.id) == ["new"]


def test_a_parent_stays_unsettled_if_a_child_is_added_while_it_settles(result):
    """settle has looked at the parent, and marks it after the child was added."""
    end(take(result.id, "a"))
    message = take(result.id, "a1")
    finish(message, SUCCESS)
    with before_statement(MARK, lambda: result.children[0].add_task(echo, ["new"])):
        assert settle(message.run_id, message.parent_id).dispatches == ()
    assert not NodeRun.objects.get(args='["a"]').settled
    assert play(result.id) == ["new", "g"]


def test_a_run_stays_open_if_a_node_is_added_while_it_ends(result):
    for name in ("a", "a1"):
        end(take(result.id, name))
    message = take(result.id, "g")
    finish(message, SUCCESS)
    with before_statement(END, lambda: result.add_task(echo, ["new"])):
        assert settle(message.run_id, None).ended is None
    assert result.state == "STARTED"
    assert play(result.id) == ["new"]
    assert result.state == "SUCCESS"


def test_a_gather_node_waits_for_a_node_that_is_added_before_it_is_queued(result):
    """settle has seen that only the gather node is left; the node is added before settle locks the run."""
    end(take(result.id, "a"))
    message = take(result.id, "a1")
    finish(message, SUCCESS)
    with before_statement(LOCK, lambda: result.add_task(echo, ["new"])):
        assert settle(message.run_id, message.parent_id).dispatches == ()
    assert states(result.id)["g"] == "PENDING"
    assert play(result.id) == ["new", "g"]


@pytest.mark.timeout(60)
def test_a_node_below_itself_is_not_added(result):
    def add(built):
        node = built.add_task(echo)
        node.children.append(node)
        return node

    with pytest.raises(ValueError, match="in the tree already"):
        result._add(None, add)
