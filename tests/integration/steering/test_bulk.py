"""Many runs, or nodes, at once."""

import pytest

from django_tasktree import TaskTree, bulk
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests.integration.steering.play import play, queued, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def results():
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    results = [tree.apply_async() for _ in range(3)]
    play(results[0].id, a="failure")
    play(results[1].id)
    return results


def test_those_that_do_not_fit_are_named_and_left(results, django_user_model):
    user = django_user_model.objects.create(username="kim")
    failed, succeeded, going = results
    outcome = bulk(TreeRun.objects.all()).retry(by=user)
    assert list(outcome.done) == [failed.id]
    assert outcome.done[failed.id].again == 2
    assert set(outcome.refused) == {succeeded.id, going.id}
    assert "nothing in run" in outcome.refused[going.id]
    assert [entry.user for entry in HistoryEntry.objects.all()] == [user]


def test_what_is_done_does_not_change_who_is_asked(results):
    outcome = bulk(TreeRun.objects.filter(state="STARTED")).pause()
    assert set(outcome.done) == {results[2].id}
    assert set(bulk(TreeRun.objects.filter(state="PAUSED")).resume().done) == {results[2].id}
    assert set(bulk(TreeRun.objects.all()).revoke().done) == {results[2].id}


def test_nodes_are_steered_with_what_is_below_them(results):
    take(results[2].id, "a")
    outcome = bulk(NodeRun.objects.filter(state="FAILURE")).skip("given")
    assert len(outcome.done) == 1
    assert queued(results[0].id) == ["a1"]
    refused = bulk(NodeRun.objects.filter(state="STARTED")).skip().refused
    assert next(iter(refused.values())).endswith("revoke it with terminate=True first")


def test_drafts_are_launched():
    tree = TaskTree()
    drafts = [tree.apply_async(draft=True) for _ in range(2)]
    assert set(bulk(TreeRun.objects.filter(state="DRAFT")).launch().done) == {draft.id for draft in drafts}


def test_a_preview_of_many(results):
    outcome = bulk(TreeRun.objects.all()).preview("retry")
    assert [effect.again for effect in outcome.done.values()] == [2]
    assert results[0].state == "FAILURE"


def test_a_queryset_of_something_else():
    with pytest.raises(TypeError, match="TreeRun or NodeRun, not of HistoryEntry"):
        bulk(HistoryEntry.objects.all())
