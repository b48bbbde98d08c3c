"""Actions on many runs or nodes."""

import pytest
from asgiref.sync import async_to_sync

from django_tasktree import TaskTree, bulk
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests.integration.control.play import play, queued, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def results():
    """Return three runs: one has failed, one has succeeded, one is open."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    results = [tree.apply_async() for _ in range(3)]
    play(results[0].id, a="failure")
    play(results[1].id)
    return results


def test_runs_that_refuse_the_action_are_reported_and_not_changed(results, django_user_model):
    user = django_user_model.objects.create(username="kim")
    failed, succeeded, unfinished = results
    outcome = bulk(TreeRun.objects.all()).retry(by=user)
    assert list(outcome.done) == [failed.id]
    assert outcome.done[failed.id].again == 2
    assert set(outcome.refused) == {succeeded.id, unfinished.id}
    assert "nothing in run" in outcome.refused[unfinished.id]
    assert [entry.user for entry in HistoryEntry.objects.all()] == [user]


def test_the_runs_are_those_that_the_queryset_selects_at_that_time(results):
    outcome = bulk(TreeRun.objects.filter(state="STARTED")).pause()
    assert set(outcome.done) == {results[2].id}
    assert set(bulk(TreeRun.objects.filter(state="PAUSED")).resume().done) == {results[2].id}
    assert set(bulk(TreeRun.objects.all()).revoke().done) == {results[2].id}


def test_actions_on_nodes(results):
    take(results[2].id, "a")
    outcome = bulk(NodeRun.objects.filter(state="FAILURE")).complete("given")
    assert len(outcome.done) == 1
    assert queued(results[0].id) == ["a1"]
    refused = bulk(NodeRun.objects.filter(state="STARTED")).complete().refused
    assert next(iter(refused.values())).endswith("revoke it with terminate=True first")


def test_drafts_are_launched():
    tree = TaskTree()
    drafts = [tree.apply_async(draft=True) for _ in range(2)]
    assert set(bulk(TreeRun.objects.filter(state="DRAFT")).launch().done) == {draft.id for draft in drafts}


def test_a_preview_of_a_bulk_action(results):
    outcome = bulk(TreeRun.objects.all()).preview("retry")
    assert [effect.again for effect in outcome.done.values()] == [2]
    assert results[0].state == "FAILURE"


def test_a_queryset_of_another_model_is_refused():
    with pytest.raises(TypeError, match="TreeRun or NodeRun, not of HistoryEntry"):
        bulk(HistoryEntry.objects.all())


@pytest.mark.parametrize("given", [None, [], "x", TreeRun], ids=repr)
def test_what_is_no_queryset_is_refused(given):
    with pytest.raises(TypeError, match="takes a queryset of TreeRun or NodeRun, not"):
        bulk(given)


@pytest.mark.parametrize("combinator", ["union", "intersection", "difference"])
@pytest.mark.parametrize("model", [TreeRun, NodeRun])
def test_a_combined_queryset_is_refused(results, model, combinator):
    rows = getattr(model.objects.all(), combinator)(model.objects.filter(state="FAILURE"))
    with pytest.raises(
        TypeError, match=rf"no queryset that {combinator}\(\) returned: combine querysets with \| and &"
    ):
        bulk(rows)


def test_a_slice_and_conditions_that_are_combined_are_accepted(results):
    failed, others = TreeRun.objects.filter(state="FAILURE"), TreeRun.objects.exclude(state="FAILURE")
    assert len(bulk(failed | others).preview("copy").done) == 3
    assert len(bulk(TreeRun.objects.all()[:2]).preview("copy").done) == 2


def test_a_manager_is_accepted(results):
    assert len(bulk(TreeRun.objects).preview("copy").done) == 3


@pytest.mark.parametrize(
    ("model", "action"),
    [(TreeRun, "rerun"), (TreeRun, "complete"), (NodeRun, "launch"), (NodeRun, "copy"), (NodeRun, "delete")],
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_an_action_that_the_rows_do_not_have_is_refused(results, model, action, is_empty):
    rows = model.objects.none() if is_empty else model.objects.all()
    with pytest.raises(ValueError, match=rf"there is no action '{action}' on .*: choose one of"):
        getattr(bulk(rows), action)()
    with pytest.raises(ValueError, match=rf"there is no action '{action}' on .*: choose one of"):
        bulk(rows).preview(action)


@pytest.mark.parametrize("action", ["nope", None, []])
def test_an_action_that_does_not_exist_is_refused(results, action):
    for act in (bulk(TreeRun.objects.none()).preview, bulk(TreeRun.objects.all()).in_background, results[0].preview):
        with pytest.raises(ValueError, match="there is no action"):
            act(action)


@pytest.mark.parametrize(
    ("action", "option", "text"),
    [
        (
            "retry",
            "form_node",
            r"retry: got an unexpected keyword argument 'form_node'; did you mean 'from_node'\? The options are .*by",
        ),
        ("revoke", "terminated", r"'terminated'; did you mean 'terminate'\? The options are terminate, by"),
        ("pause", "from_node", r"pause: got an unexpected keyword argument 'from_node'\. The options are by"),
        ("delete", "foo", r"delete: got an unexpected keyword argument 'foo'"),
    ],
)
def test_a_preview_refuses_unknown_options(results, action, option, text):
    given = {option: results[0].children[0]}
    for preview in (results[0].preview, async_to_sync(results[0].apreview)):
        with pytest.raises(TypeError, match=text):
            preview(action, **given)


def test_previews_of_nodes_and_bulk_actions_refuse_unknown_options(results):
    node = results[0].children[0]
    runs = bulk(TreeRun.objects.all())
    previews = [node.preview, async_to_sync(node.apreview), runs.preview, async_to_sync(runs.apreview)]
    for preview in [*previews, bulk(TreeRun.objects.none()).preview, runs.in_background]:
        for option in ("foo", "from_node"):
            with pytest.raises(
                TypeError, match=rf"retry: got an unexpected keyword argument {option!r}\. The options are by"
            ):
                preview("retry", **{option: node})
    with pytest.raises(TypeError, match="rerun: got an unexpected keyword argument 'foo'"):
        results[0].preview("retry", from_node=node, foo=1)


def test_a_preview_takes_the_options_of_the_action(results):
    run, node = results[0], results[0].children[0]
    assert run.preview("retry", from_node=node, by="kim") == node.preview("rerun", by="kim")
    assert node.preview("complete", result=1, by="kim").again == 1
    assert run.preview("copy", by="kim", day="2026-02-01").again == 0
    assert len(bulk(TreeRun.objects.all()).preview("revoke", terminate=True, by="kim").done) == 1
