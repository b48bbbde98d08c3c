"""Example runs of a shop, in all states, spread over a day."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import current_app
from django.contrib.auth.models import User
from django.db.models import Value
from django.db.models.functions import Replace
from django.utils import timezone
from shop.tasks import charge_card, ship, tell_customer, write_report
from shop.trees import checkout, nightly_report

from django_tasktree import TaskTree, TreeResult
from django_tasktree.definitions.launch import launch_definition
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun, Worker

PASSWORD = "demo"  # noqa: S105
_RANDOM = random.Random(7)  # noqa: S311


@contextmanager
def _eager() -> Iterator[None]:
    current_app.conf.task_always_eager = True
    yield
    current_app.conf.task_always_eager = False


def make() -> dict[str, Any]:
    """Create the user and the runs.

    Returns:
        The handles of the runs that the screenshots show, by name.
    """
    user = User.objects.create_superuser("demo", password=PASSWORD, first_name="Ada")
    with _eager():
        for hours in range(23, 0, -1):
            _a_past_hour(hours, user)
        failed = launch_definition("checkout", {"first": 1201}, launched_by=user)
        report = launch_definition("nightly-report", {"day": "2026-11-23"}, launched_by=user)
        album = launch_definition("thumbnails", {"samples": 6}, launched_by=user)
        _spread(failed, timedelta(seconds=14))
        _spread(report, timedelta(seconds=41))
    revoked = checkout.launch(first=3000)
    revoked.revoke(by=user)
    nightly_report(date(2026, 12, 24)).apply_async(name="report of Christmas Eve", draft=True, launched_by=user)
    paused = nightly_report(date(2026, 11, 20)).apply_async(name="late report", launched_by=user)
    paused.pause(by=user)
    small = _small_draft(user)
    running = _running(user)
    _workers(running)
    _hide_folder()
    return {
        "failed": failed,
        "report": report,
        "running": running,
        "album": album,
        "album_running": _running_album(),
        "small_draft": small,
    }


def _hide_folder() -> None:
    """Show tracebacks as on a server of the shop, and not the folders of the machine that takes the screenshots."""
    folder = Replace("traceback", Value(str(Path(__file__).parent)), Value("/srv"))
    for model in (NodeRun, NodeAttempt):
        model.objects.exclude(traceback="").update(traceback=folder)


def _small_draft(user: User) -> TreeResult:
    tree = TaskTree("order 77, by hand")
    charge = tree.add_task(charge_card, [77])
    charge.add_task(ship, [77])
    charge.add_task(tell_customer, [77], run_when="failure", queue="mail")
    tree.gather(write_report, ["2026-11-24", tree.outputs], run_when="always")
    return tree.apply_async(draft=True, launched_by=user)


def _a_past_hour(hours: int, user: User) -> None:
    busy = 1 + hours % 5
    for number in range(busy):
        result = launch_definition(
            "checkout", {"first": 4 * (5 * hours + number) + (number % 3), "orders": 2}, launched_by=user
        )
        _spread(
            result, timedelta(seconds=_RANDOM.uniform(2, 30)), timedelta(hours=hours, minutes=_RANDOM.uniform(-20, 20))
        )


def _spread(result: TreeResult, took: timedelta, ago: timedelta = timedelta()) -> None:
    """Set durations and workers of the nodes of a run."""
    start = timezone.now() - ago - took
    rows = list(NodeRun.objects.filter(run_id=result.id).order_by("started_at"))
    for index, row in enumerate(row for row in rows if row.started_at):
        share = index / max(len(rows), 1)
        row.queued_at = start + took * share * 0.8
        row.started_at = row.queued_at + timedelta(milliseconds=_RANDOM.uniform(5, 300))
        row.finished_at = row.started_at + took * _RANDOM.uniform(0.05, 0.2)
        row.worker = f"celery@worker-{1 + index % 3}"
    NodeRun.objects.bulk_update(
        [row for row in rows if row.started_at], ["queued_at", "started_at", "finished_at", "worker"]
    )
    TreeRun.objects.filter(id=result.id).update(created_at=start, started_at=start, finished_at=start + took)


def _running(user: User) -> TreeResult:
    """Create a run in the middle of its execution. It stays there, because there is no worker."""
    result = launch_definition("nightly-report", {"day": "2026-11-24", "shards": 12}, launched_by=user)
    now = timezone.now()
    TreeRun.objects.filter(id=result.id).update(
        created_at=now - timedelta(seconds=48), started_at=now - timedelta(seconds=48)
    )
    nodes = NodeRun.objects.filter(run_id=result.id)
    shards = list(nodes.filter(parent=None, is_gather=False).order_by("position"))
    for index, node in enumerate(shards[:9]):
        state = "SUCCESS" if index < 6 else "STARTED"
        nodes.filter(id=node.id).update(
            state=state,
            attempts=1,
            worker=f"celery@worker-{1 + index % 3}",
            started_at=now - timedelta(seconds=46 - 4 * index),
            finished_at=now - timedelta(seconds=40 - 4 * index) if state == "SUCCESS" else None,
        )
        if index < 4:
            nodes.filter(parent_id=node.id).update(
                state="SUCCESS",
                attempts=1,
                settled=True,
                worker=f"celery@worker-{1 + (index + 1) % 3}",
                started_at=now - timedelta(seconds=38 - 4 * index),
                finished_at=now - timedelta(seconds=37 - 4 * index),
            )
    nodes.filter(queued_at__isnull=False).update(queued_at=now - timedelta(seconds=47))
    return result


def _running_album() -> TreeResult:
    result = launch_definition("thumbnails", {"samples": 6})
    nodes = NodeRun.objects.filter(run_id=result.id)
    now = timezone.now()
    done = [row.id for row in nodes.filter(is_gather=False).order_by("id")[:17]]
    nodes.filter(id__in=done).update(state="SUCCESS", started_at=now - timedelta(seconds=2), finished_at=now)
    nodes.filter(id__in=done[-3:]).update(state="STARTED", finished_at=None)
    return result


def _workers(running: TreeResult) -> None:
    now = timezone.now()
    for number in range(1, 5):
        # The last worker has sent no heartbeat for some time.
        silent = timedelta(minutes=3) if number == 4 else timedelta(seconds=number)
        worker = Worker.objects.create(
            id=uuid4(),
            hostname=f"celery@worker-{number}",
            pid=4000 + number,
            pool="prefork",
            concurrency=4,
            queues=["celery", "mail"] if number == 1 else ["celery"],
            started_at=now - timedelta(hours=5 * number),
            beating_since=now - timedelta(hours=5 * number),
            # Taking the screenshots takes some time.
            last_seen=now + timedelta(seconds=20) - silent if number < 4 else now - silent,
        )
        NodeRun.objects.filter(run_id=running.id, worker=worker.hostname).update(worker_id=worker.id)
