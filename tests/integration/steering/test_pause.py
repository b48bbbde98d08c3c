"""pause and resume, of a run and of a subtree, in every order with what workers do."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.claim import claim
from django_tasktree.engine.finish import finish
from django_tasktree.engine.park import park
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.worker.follow import publish_after_commit
from tests.integration.engine.trees import SUCCESS, ref
from tests.integration.steering.play import end, play, queued, states, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def result():
    tree = TaskTree()
    for name in ("a", "b"):
        node = tree.add_task(echo, [name])
        node.add_task(echo, [name + "1"]).add_task(echo, [name + "11"])
    tree.gather(echo, ["g"])
    return tree.apply_async()


def _deliver(run_id, name):
    """A message arrives whose claim is refused: the worker puts the node back."""
    row = next(row for row in NodeRun.objects.filter(run_id=run_id) if f'"{name}"' in row.args)
    message = ref(row.id)
    assert not claim(message, "w")
    publish_after_commit(run_id, park(message).dispatches)


def test_nothing_starts_in_a_paused_run_and_what_runs_may_end(result):
    a = take(result.id, "a")
    effect = result.pause(by="test")
    assert effect.running == 1
    end(a)
    assert states(result.id)["a"] == "SUCCESS"
    _deliver(result.id, "b")
    assert queued(result.id) == []
    assert result.state == "PAUSED"
    result.resume()
    assert sorted(queued(result.id)) == ["a1", "b"]
    assert sorted(play(result.id)) == ["a1", "a11", "b", "b1", "b11", "g"]
    assert result.state == "SUCCESS"


def test_a_queued_node_whose_message_is_still_on_its_way_goes_on_after_a_resume(result):
    result.pause()
    result.resume()
    assert queued(result.id) == ["a", "b"]
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_paused_run_whose_last_nodes_end_has_ended(result):
    for name in ("a", "b", "a1", "b1", "a11", "b11"):
        end(take(result.id, name))
    last = take(result.id, "g")
    result.pause()
    end(last)
    assert result.state == "SUCCESS"


def test_a_gather_node_waits_for_the_resume(result):
    for name in ("a", "b", "a1", "b1", "a11"):
        end(take(result.id, name))
    last = take(result.id, "b11")
    result.pause()
    end(last)
    assert states(result.id)["g"] == "PENDING"
    assert result.state == "PAUSED"
    result.resume()
    assert play(result.id) == ["g"]
    assert result.state == "SUCCESS"


def test_a_paused_subtree_holds_nothing_else_back(result):
    node = result.children[0]
    effect = node.pause(by="test")
    assert effect.held == 3
    _deliver(result.id, "a")
    assert play(result.id) == ["b", "b1", "b11"]
    assert result.state == "STARTED"
    assert states(result.id)["a"] == "PENDING"
    node.resume()
    assert play(result.id) == ["a", "a1", "a11", "g"]
    assert result.state == "SUCCESS"


def test_a_subtree_that_is_paused_while_its_top_runs(result):
    a = take(result.id, "a")
    result.children[0].pause()
    end(a)
    assert play(result.id) == ["b", "b1", "b11"]
    result.children[0].resume()
    assert play(result.id) == ["a1", "a11", "g"]


def test_what_a_body_adds_to_a_paused_subtree_is_held_as_well(result):
    from django_tasktree.blueprint import draw
    from django_tasktree.engine.specs import Outcome, Place
    from django_tasktree.nodes import NodeParent
    from django_tasktree.states import NodeState
    from django_tasktree.worker.follow import conclude

    a = take(result.id, "a")
    result.children[0].pause()
    grown = NodeParent()
    grown.add_task(echo, ["new"])
    added = tuple(draw(grown, Place(a.run_id, a.id, a.child_count)).specs)
    conclude(a, Outcome(NodeState.SUCCESS, result="1", added=added))
    assert queued(result.id) == ["b"]
    result.children[0].resume()
    assert sorted(queued(result.id)) == ["a1", "b", "new"]


def test_pause_against_finish_the_pause_first(result):
    """finish sees the pause, and lets nobody start."""
    a = take(result.id, "a")
    result.pause()
    released = finish(a, SUCCESS)
    assert list(released.dispatches) == []
    assert released.ready


def test_pause_against_finish_the_finish_first(result):
    """The children are queued already; their messages find the run paused, and they are put back."""
    end(take(result.id, "a"))
    result.pause()
    _deliver(result.id, "a1")
    assert "a1" not in queued(result.id)
    result.resume()
    assert "a1" in queued(result.id)


def test_resume_against_park_the_resume_first(result):
    """The worker was refused, the run is resumed, the worker looks: it has the message, so it claims again."""
    result.pause()
    row = NodeRun.objects.get(run_id=result.id, args='["a"]')
    message = ref(row.id)
    assert not claim(message, "w")
    result.resume()
    assert park(message).again
    assert claim(message, "w")


def test_resume_against_park_the_park_first(result):
    result.pause()
    _deliver(result.id, "a")
    assert states(result.id)["a"] == "PENDING"
    result.resume()
    assert states(result.id)["a"] == "QUEUED"


def test_a_duplicate_message_is_not_claimed_again(result):
    message = take(result.id, "a")
    assert not claim(message, "w")
    assert not park(message).again


def test_what_does_not_fit_is_refused(result):
    with pytest.raises(NotPossible, match="only a paused run"):
        result.resume()
    result.pause()
    with pytest.raises(NotPossible, match="PAUSED: only a run that is going"):
        result.pause()
    result.resume()
    play(result.id)
    with pytest.raises(NotPossible, match="SUCCESS: only a run that is going"):
        result.pause()


def test_a_preview_changes_nothing(result):
    take(result.id, "a")
    assert result.preview("pause").running == 1
    assert result.children[1].preview("pause").held == 3
    assert result.state == "STARTED"
    assert result.history == []
    assert queued(result.id) == ["b"]
    assert not NodeRun.objects.filter(run_id=result.id, hold="paused").exists()


def test_the_history_tells_who_asked_for_what(result, django_user_model):
    user = django_user_model.objects.create(username="kim")
    result.pause(by=user)
    result.resume(by="manage.py")
    result.children[0].pause()
    told = [(entry.action, entry.user, entry.actor, entry.node_id, entry.nodes) for entry in result.history]
    first = result.children[0].id
    assert told == [
        ("pause", user, "kim", None, 0),
        ("resume", None, "manage.py", None, 0),
        ("pause", None, "", first, 3),
    ]


def test_a_retry_that_falls_due_during_a_pause_keeps_its_count_and_its_time(result):
    from datetime import timedelta

    from celery import current_app
    from django.utils import timezone

    from django_tasktree.engine.advance import advance
    from django_tasktree.engine.retry import retry
    from django_tasktree.engine.specs import NodeError
    from django_tasktree.worker.publisher import _call

    due = timezone.now() + timedelta(minutes=5)
    message = take(result.id, "a")
    retry(message, NodeError("E", "x"), due)
    result.pause()
    _deliver(result.id, "a")
    row = NodeRun.objects.get(id=message.id)
    assert (row.state, row.ready, row.retries, row.eta) == ("PENDING", True, 1, due)
    NodeRun.objects.filter(run_id=result.id).exclude(id=message.id).update(ready=False)
    TreeRun.objects.filter(id=result.id).update(state="STARTED")
    (dispatch,) = advance(result.id)
    _, _, options = _call(current_app, dispatch)
    assert (options["retries"], options["eta"], options["task_id"]) == (1, due, str(row.task_id))
