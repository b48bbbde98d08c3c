"""launch: all rows or none, messages on commit, one run per launch key."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connections, router, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from django_tasktree import TaskTree, bulk
from django_tasktree.dispatch import after_commit
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.lifecycle import launch as launch_module
from django_tasktree.exceptions import InvalidOption, RunNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from tests.integration.engine.trees import insert_run, tree_of
from tests.sample.tasks import echo


@pytest.fixture
def published(monkeypatch):
    """Return a list that receives the nodes that are passed to the publisher."""
    handed = []

    def publish(dispatches):
        from django_tasktree.dispatch.publisher import Report

        batch = list(dispatches)
        handed.extend(batch)
        return Report(seen=len(batch))

    monkeypatch.setattr(after_commit, "publish", publish)
    return handed


def _atomic():
    return transaction.atomic(using=router.db_for_write(TreeRun))


def test_root_nodes_are_queued_and_other_nodes_are_pending(database):
    launched, _ = insert_run(tree_of([[]], []))
    rows = NodeRun.objects.filter(run_id=launched.run_id)
    assert rows.filter(parent=None, state=NodeState.QUEUED).count() == 2
    assert rows.exclude(parent=None).get().state == NodeState.PENDING
    assert [d.id for d in launched.dispatches] == [r.id for r in rows.filter(parent=None).order_by("position")]


def test_messages_are_published_on_commit(database, published):
    with _atomic():
        result = tree_of([]).apply_async()
        assert TreeRun.objects.filter(id=result.id).exists()
        assert published == []
    assert [dispatch.run_id for dispatch in published] == [result.id]


def test_a_rollback_leaves_nothing(database, published):
    with _atomic():
        tree_of([[]]).apply_async()
        transaction.set_rollback(True, using=router.db_for_write(TreeRun))
    assert published == []
    assert not TreeRun.objects.exists()
    assert not NodeRun.objects.exists()


def test_a_key_in_use_returns_the_existing_run(database, published):
    tree = tree_of([], [])
    first = tree.apply_async(key="nightly")
    second = tree.apply_async(key="nightly")
    assert second == first
    assert len(published) == 2
    assert NodeRun.objects.count() == 2
    assert tree.apply_async(key="other") != first


def test_a_tree_is_reusable(database, published):
    tree = tree_of([[]])
    assert tree.apply_async() != tree.apply_async()
    assert NodeRun.objects.count() == 4


def test_an_unserializable_argument_writes_nothing(database, published):
    tree = TaskTree()
    tree.add_task(echo, [1])
    tree.add_task(echo, [object()])
    with pytest.raises(ValueError, match=r"the argument 'value' of task 'tests\.sample\.tasks\.echo' can't be stored"):
        tree.apply_async()
    assert not TreeRun.objects.exists()


def test_a_run_of_an_empty_tree_has_ended(database):
    launched, _ = insert_run(tree_of())
    assert launched.ended == "SUCCESS"
    assert TreeRun.objects.get(id=launched.run_id).state == "SUCCESS"


def test_a_gather_node_without_siblings_starts_at_once(database):
    tree = TaskTree()
    tree.gather(echo, [1])
    launched, _ = insert_run(tree)
    assert [d.task for d in launched.dispatches] == [echo.name]
    assert NodeRun.objects.get().state == NodeState.QUEUED


@pytest.mark.parametrize(
    "given", ["ann", 5, object(), TreeRun(name="a"), NodeRun], ids=lambda given: type(given).__name__
)
def test_what_is_no_user_can_not_launch(database, given):
    with pytest.raises(InvalidOption, match=r"^launched_by=.* is not a user: pass a user"):
        TaskTree().apply_async(launched_by=given)
    assert not TreeRun.objects.exists()


def test_a_user_who_was_not_saved_can_not_launch(database, django_user_model):
    with pytest.raises(InvalidOption, match=r"has not been saved: save the user first"):
        TaskTree().apply_async(launched_by=django_user_model(username="ann"))


def test_users_launch_also_lazily_and_anonymously(database, django_user_model):
    user = django_user_model.objects.create(username="ann")
    for given, stored in [(SimpleLazyObject(lambda: user), user), (AnonymousUser(), None), (None, None)]:
        assert TaskTree().apply_async(launched_by=given).run.launched_by == stored


def test_another_row_with_the_key_of_a_user_is_not_recorded_as_that_user(database, django_user_model):
    user = django_user_model.objects.create(username="ann")
    group = Group(pk=user.pk, name="editors")
    result = TaskTree().apply_async()
    copied = result.copy(by=group)
    background = bulk(TreeRun.objects.filter(pk=result.id)).in_background("copy", by=group)
    assert {run.launched_by for run in TreeRun.objects.filter(pk__in=[copied.id, background.id])} == {None}
    assert [(entry.user, entry.actor) for entry in result.history] == [(None, "editors")]


@pytest.mark.parametrize("name", ["run_id", "copy_of"])
def test_ids_may_be_texts(database, published, name):
    first = TaskTree().apply_async()
    tree = TaskTree()
    tree.add_task(echo)
    given = str(new_id() if name == "run_id" else first.id)
    options: dict[str, Any] = {name: given}
    run = tree.apply_async(**options).run
    assert str({"run_id": run.id, "copy_of": run.copy_of_id}[name]) == given


@pytest.mark.parametrize("name", ["run_id", "copy_of"])
@pytest.mark.parametrize("given", ["x", 5, ""])
def test_what_is_no_id_writes_nothing(database, name, given):
    with pytest.raises(ValueError, match="is not the ID of a run or a node"):
        TaskTree().apply_async(**{name: given})
    assert not TreeRun.objects.exists()


def test_draft_is_true_or_false(database):
    with pytest.raises(InvalidOption, match="draft='yes' is not valid: it must be True or False"):
        TaskTree().apply_async(draft="yes")  # type: ignore[arg-type]


def test_a_copy_of_a_run_that_does_not_exist_is_refused(database):
    missing = new_id()
    with pytest.raises(RunNotFound, match=f"copy_of: no run {missing}"):
        tree_of([]).apply_async(copy_of=missing)
    # The transaction of the caller can be continued and committed.
    with _atomic():
        with pytest.raises(RunNotFound):
            tree_of([]).apply_async(copy_of=missing)
        kept = tree_of([]).apply_async()
    assert TreeRun.objects.get().id == kept.id


def test_an_id_of_a_run_that_exists_is_refused(database):
    first = tree_of([]).apply_async()
    with pytest.raises(InvalidOption, match=f"run_id: there is a run {first.id} already"):
        tree_of([]).apply_async(run_id=first.id)
    with _atomic():
        with pytest.raises(InvalidOption):
            tree_of([]).apply_async(run_id=first.id)
        kept = tree_of([]).apply_async()
    assert set(TreeRun.objects.values_list("id", flat=True)) == {first.id, kept.id}


def test_a_run_that_is_deleted_while_it_is_copied_is_reported(database, monkeypatch):
    first = tree_of([]).apply_async(draft=True)
    check = launch_module._check_original

    def check_and_delete(spec):
        check(spec)
        TreeRun.objects.filter(id=first.id).delete()

    monkeypatch.setattr(launch_module, "_check_original", check_and_delete)
    with pytest.raises(RunNotFound, match="copy_of: no run"):
        tree_of([]).apply_async(copy_of=first.id)


def test_a_launch_without_these_options_takes_no_query_for_them(database):
    def reads(**options):
        with CaptureQueriesContext(connections[database]) as context:
            tree_of([]).apply_async(**options)
        return sum(query["sql"].startswith("SELECT") for query in context.captured_queries)

    original = tree_of([]).apply_async().id
    assert [reads(), reads(run_id=new_id()), reads(copy_of=original)] == [0, 0, 1]
