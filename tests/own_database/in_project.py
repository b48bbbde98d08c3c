"""Trees, pages and commands with runs in one database and everything else, including users, in another."""

from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction
from django.urls import reverse
from django_celery_results.models import TaskResult

from django_tasktree import TaskTree, TreeResult
from django_tasktree.checks import check_all
from django_tasktree.definitions.launch import launch_definition
from django_tasktree.dispatch import after_commit
from django_tasktree.dispatch.launch import atomic_with_runs
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests import services, simulation, workers
from tests.patience import PATIENCE
from tests.sample.models import Effect
from tests.sample.tasks import add, echo, fail

pytestmark = [pytest.mark.django_db(transaction=True, databases="__all__")]


@pytest.fixture
def user():
    return get_user_model().objects.create_superuser("ada", password="pw")


@pytest.fixture
def browser(client, user):
    client.force_login(user)
    return client


def launched(user=None, task=echo, name="apart"):
    """Launch a tree of a node and its child."""
    tree = TaskTree(name=name)
    root = tree.add_task(task, [1])
    root.add_task(add, [root.output, 2])
    return tree.apply_async(launched_by=user)


def tables(alias):
    return set(connections[alias].introspection.table_names())


def write_launch_and_fail(user):
    Effect.objects.create(note="gone")
    launched(user)
    raise LookupError


def test_each_table_is_in_one_database():
    assert {"django_tasktree_treerun", "django_tasktree_noderun"} <= tables("runs")
    assert not any(table.startswith("django_tasktree") for table in tables("default"))
    assert not {"auth_user", "django_admin_log", "django_celery_results_taskresult"} & tables("runs")


def test_a_tree_runs_and_its_task_results_are_kept(app, user):
    with simulation.simulated(app, "apart") as world:
        world.start_worker("w")
        result = launched(user)
        world.deliver_all("w")
        assert NodeRun.objects.get(run=result.id, state="SUCCESS", parent__isnull=False).result == "3"
    assert result.run.launched_by == user
    nodes = NodeRun.objects.filter(run=result.id)
    assert TaskResult.objects.filter(task_id__in=[str(node.task_id) for node in nodes], status="SUCCESS").count() == 2


def test_on_real_workers(app, user, tmp_path):
    queue = workers.queue_of("own-database")
    services.need(services.REDIS)
    names = ",".join(connections[alias].settings_dict["NAME"] for alias in ("default", "runs"))
    env = workers.environment(
        "default",
        services.REDIS.url,
        queue,
        DJANGO_SETTINGS_MODULE="tests.own_database.settings",
        TEST_OWN_DATABASES=names,
    )
    with workers.use_broker(app, services.REDIS, queue):
        worker = workers.Worker(tmp_path / "worker.log", env).wait_until_ready()
        try:
            result = launched(user)
            assert result.join(timeout=PATIENCE)
            failed = launched(user, fail)
            failed.wait(timeout=PATIENCE)
            assert failed.state == "FAILURE"
        finally:
            worker.stop()
            workers.delete_queue(services.REDIS, queue)


def test_the_pages(browser, user):
    result = launched(user, name="shown")
    TreeResult(result.id).pause(by=user)
    for address in (
        reverse("admin:django_tasktree_treerun_changelist"),
        reverse("admin:django_tasktree_treerun_changelist") + f"?launched_by={user.pk}&o=6",
        reverse("admin:django_tasktree_treerun_changelist") + "?q=shown",
        reverse("admin:django_tasktree_treerun_change", args=[result.id]),
        reverse("admin:django_tasktree_noderun_changelist"),
        reverse("admin:django_tasktree_noderun_change", args=[result.children[0].id]),
        reverse("admin:app_list", args=["django_tasktree"]),
        reverse("tasktree:progress", args=[result.id]),
    ):
        answer = browser.get(address)
        assert answer.status_code == 200, address
    page = browser.get(reverse("admin:django_tasktree_treerun_changelist")).content.decode()
    assert '<td class="field-launcher">ada</td>' in page
    assert "ada" in browser.get(reverse("admin:django_tasktree_treerun_change", args=[result.id])).content.decode()


def test_a_launch_from_the_admin(browser, user):
    address = reverse("admin:django_tasktree_treerun_launch_definition", args=["inventory"])
    answer = browser.post(address, {"param-path": "tests/own_database"})
    run = TreeRun.objects.get()
    assert (answer.status_code, answer.url) == (302, reverse("admin:django_tasktree_treerun_change", args=[run.id]))
    assert LogEntry.objects.get().object_id == str(run.id)
    assert run.launched_by == user


def test_runs_are_kept_if_their_user_is_deleted(browser, user):
    other = get_user_model().objects.create_user("grace")
    result, kept = launched(other), launched(user)
    TreeResult(result.id).pause(by=other)
    page = browser.get(reverse("admin:auth_user_delete", args=[other.pk]))
    assert page.status_code == 200
    assert browser.post(reverse("admin:auth_user_delete", args=[other.pk]), {"post": "yes"}).status_code == 302
    assert TreeRun.objects.get(id=result.id).launched_by is None
    assert HistoryEntry.objects.filter(run=result.id, user=None, actor="grace").exists()
    assert TreeRun.objects.get(id=kept.id).launched_by == user


def test_users_are_deleted_in_bulk():
    users = [get_user_model().objects.create_user(f"user-{number}") for number in range(3)]
    runs = [launched(each) for each in users]
    get_user_model().objects.filter(username__startswith="user-").delete()
    assert set(TreeRun.objects.filter(id__in=[run.id for run in runs]).values_list("launched_by_id", flat=True)) == {
        None
    }


def test_a_user_who_was_deleted_without_django(browser, user):
    result = launched(get_user_model()(pk=10_000_000))
    assert TreeRun.objects.get(id=result.id).launched_by is None
    assert browser.get(reverse("admin:django_tasktree_treerun_changelist")).status_code == 200
    assert browser.get(reverse("admin:django_tasktree_treerun_change", args=[result.id])).status_code == 200


def test_rows_of_the_project_and_a_run_are_written_atomically(user):
    with atomic_with_runs("default"):
        Effect.objects.create(note="kept")
        kept = launched(user)
    with pytest.raises(LookupError), atomic_with_runs("default"):
        write_launch_and_fail(user)
    assert [effect.note for effect in Effect.objects.all()] == ["kept"]
    assert TreeRun.objects.get().id == kept.id


def test_the_project_is_committed_before_messages_are_sent(user, monkeypatch):
    seen = []

    def publish(dispatches):
        seen.append(connections["default"].in_atomic_block)
        return send(dispatches)

    send = after_commit.publish  # type: ignore[attr-defined]
    monkeypatch.setattr(after_commit, "publish", publish)
    with atomic_with_runs("default"):
        launched(user)
    assert seen == [False]


def test_a_launch_is_not_part_of_a_transaction_of_the_other_database(user):
    with pytest.raises(LookupError), transaction.atomic():
        write_launch_and_fail(user)
    assert (Effect.objects.count(), TreeRun.objects.count()) == (0, 1)


def test_commands(user):
    result = launched(user)
    for command in (
        ["list"],
        ["show", str(result.id)],
        ["pause", str(result.id), "--yes"],
        ["workers"],
        ["purge", "--older-than", "1d", "--dry-run"],
    ):
        call_command("tasktree", *command, stdout=StringIO())
    call_command("makemigrations", "--check", "--dry-run", stdout=StringIO())


def test_the_check_names_atomic_tasks():
    assert [message.id for message in check_all()] == ["django_tasktree.W009"]


def test_a_definition_is_launched_by_a_user(user):
    result = launch_definition("inventory", {"path": "tests/own_database"}, key="k", launched_by=user)
    assert launch_definition("inventory", {"path": "tests/own_database"}, key="k", launched_by=user) == result
