"""The asynchronous methods inside a transaction of the caller, and in an asynchronous view."""

import uuid

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.http import JsonResponse
from django.urls import path

from django_tasktree import TaskTree, TreeResult, bulk
from django_tasktree.dispatch import after_commit
from django_tasktree.dispatch.publisher import Report
from django_tasktree.models import TreeRun
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


def tree():
    """Return a tree of two nodes."""
    built = TaskTree("async")
    built.add_task(echo, ["a"]).add_task(echo, ["b"])
    return built


@pytest.fixture
def published(monkeypatch):
    """Return a list that receives what is passed to the publisher."""
    handed = []

    def publish(dispatches):
        handed.extend(dispatches)
        return Report()

    monkeypatch.setattr(after_commit, "publish", publish)
    return handed


@sync_to_async
def in_transaction(act, *, fails=False):
    """Run a coroutine function inside a transaction of the thread for synchronous code."""
    with transaction.atomic():
        found = async_to_sync(act)()
        if fails:
            transaction.set_rollback(True)
        return found


@pytest.mark.parametrize("fails", [False, True])
def test_a_launch_is_part_of_the_transaction(published, fails):
    async def act():
        run = await tree().aapply_async()
        assert published == []
        await run.apause(by="kim")
        await run.aadd_task(echo, ["c"])
        assert (await run.apreview("revoke")).revoked == 3
        return run

    run = async_to_sync(in_transaction)(act, fails=fails)
    assert TreeRun.objects.filter(id=run.id).exists() is not fails
    if fails:
        assert published == []
    else:
        assert (run.state, len(run)) == ("PAUSED", 2)


def test_actions_are_part_of_the_transaction():
    run = tree().apply_async()

    async def act():
        assert (await run.arevoke()).revoked == 2
        assert await sync_to_async(lambda: run.state)() == "REVOKED"

    async_to_sync(in_transaction)(act, fails=True)
    assert run.state == "STARTED"
    async_to_sync(in_transaction)(act)
    assert run.state == "REVOKED"


async def view(request):
    """Launch a run, and act on it."""
    run = await tree().aapply_async(key=request.GET["key"], launched_by=await request.auser())
    paused = await run.apause(by=await request.auser())
    outcome = await bulk(TreeRun.objects.filter(id=run.id)).aresume()
    await TreeResult(run.id).arevoke()
    state = await run.await_finished(timeout=5)
    copied = await run.acopy()
    return JsonResponse({"state": state, "running": paused.running, "done": len(outcome.done), "copy": str(copied.id)})


urlpatterns = [path("launch/", view)]


def test_an_asynchronous_view(settings, async_client, admin_user):
    settings.ROOT_URLCONF = __name__

    async def ask():
        await async_client.aforce_login(admin_user)
        return await async_client.get("/launch/", {"key": str(uuid.uuid4())})

    answer = async_to_sync(ask)().json()
    assert (answer["state"], answer["running"], answer["done"]) == ("REVOKED", 0, 1)
    assert TreeRun.objects.get(id=answer["copy"]).copy_of.launched_by == admin_user
