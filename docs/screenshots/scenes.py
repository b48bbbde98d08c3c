"""Example runs of a shop, in all states, spread over a day."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
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
from django_tasktree.states import NodeState, RunState

PASSWORD = "demo"  # noqa: S105
#: The path of the wait node of a nightly report.
_APPROVAL = "shops/orders/report/approved"
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
        report[_APPROVAL].complete({"by": "Ada"}, by=user)
        waiting = launch_definition("nightly-report", {"day": "2026-11-22"}, launched_by=user)
        running = launch_definition("nightly-report", {"day": "2026-11-24", "shops": 12}, launched_by=user)
        album, album_running = (launch_definition("thumbnails", {"samples": 12}, launched_by=user) for _ in range(2))
        _spread(failed, timedelta(seconds=14))
        _spread(report, timedelta(seconds=41))
    _make_running(running)
    _make_album_running(album_running)
    revoked = checkout.launch(first=3000)
    revoked.revoke(by=user)
    nightly_report(date(2026, 12, 24)).apply_async(name="report of Christmas Eve", draft=True, launched_by=user)
    paused = nightly_report(date(2026, 11, 20)).apply_async(name="late report", launched_by=user)
    paused.pause(by=user)
    small = _small_draft(user)
    _workers(running)
    _hide_folder()
    return {
        "failed": failed,
        "report": report,
        "running": running,
        "album": album,
        "album_running": album_running,
        "waiting": waiting,
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


def _make_running(result: TreeResult) -> None:
    """Put a run back into the middle of its execution. It stays there, because there is no worker."""
    now = timezone.now()
    _reopen(result, now - timedelta(seconds=48))
    nodes = NodeRun.objects.filter(run_id=result.id)
    _spread_started(nodes, now - timedelta(seconds=46))
    shops = list(nodes.filter(parent__label="orders", is_gather=False).order_by("position"))
    _set_back(nodes.filter(label__in=["report", "approved", "mail"]), NodeState.PENDING)
    _set_back(nodes.filter(label="sum", parent__in=shops[5:]), NodeState.PENDING)
    _set_back(nodes.filter(id__in=[shop.id for shop in shops[6:9]]), NodeState.STARTED)
    _set_back(nodes.filter(id__in=[shop.id for shop in shops[9:]]), NodeState.QUEUED)


def _make_album_running(result: TreeResult) -> None:
    _reopen(result, timezone.now() - timedelta(seconds=2))
    nodes = NodeRun.objects.filter(run_id=result.id)
    _set_back(nodes.filter(label="sheet"), NodeState.PENDING)
    _set_back(nodes.filter(parent__label="pictures", position__in=[7, 8], is_gather=False), NodeState.STARTED)
    _set_back(nodes.filter(parent__label="pictures", position__gt=8, is_gather=False), NodeState.QUEUED)


def _reopen(result: TreeResult, since: datetime) -> None:
    TreeRun.objects.filter(id=result.id).update(
        state=RunState.STARTED, created_at=since, started_at=since, finished_at=None
    )


def _spread_started(nodes: Any, since: datetime) -> None:
    """Let nodes start one after another, three at a time."""
    for index, row in enumerate(nodes.filter(started_at__isnull=False).order_by("started_at")):
        row.queued_at = since
        row.started_at = since + timedelta(seconds=index // 3 * 4)
        row.finished_at = row.started_at + timedelta(seconds=3)
        row.worker = f"celery@worker-{1 + index % 3}"
        row.save()


def _set_back(nodes: Any, state: NodeState) -> None:
    """Put nodes back into an earlier state."""
    nodes.update(state=state, result=None, finished_at=None, eta=None, settled=False)
    if state == NodeState.PENDING:
        nodes.update(queued_at=None)
    if state != NodeState.STARTED:
        nodes.update(attempts=0, worker="", started_at=None)
    else:
        nodes.update(started_at=timezone.now() - timedelta(seconds=4))


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
