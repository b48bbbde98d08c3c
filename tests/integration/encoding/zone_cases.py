"""Cases that must hold in every time zone; ``test_zones`` runs them in a process for each setting.

Run as a script, it makes a test database of each kind, runs the cases on it, and prints what does not hold.
"""

import json
import os
import sys
import traceback
from datetime import datetime, timedelta, timezone

import django

django.setup()

from celery.utils.iso8601 import parse_iso8601  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.models import F  # noqa: E402

from django_tasktree import TaskTree  # noqa: E402
from django_tasktree.encoding import times  # noqa: E402
from django_tasktree.engine.backends import database_now  # noqa: E402
from django_tasktree.engine.transitions import nodes  # noqa: E402
from django_tasktree.recovery.sweep import sweep  # noqa: E402
from django_tasktree.reporting.json import run_json  # noqa: E402
from django_tasktree.reporting.progress import progress_of  # noqa: E402
from testproject.celery import app  # noqa: E402
from tests import celery_settings, databases, simulation  # noqa: E402
from tests.sample.tasks import echo, retry_at  # noqa: E402

HOUR = timedelta(hours=1)
#: More than a slow machine needs for a case, and much less than an offset from UTC.
NEARLY = timedelta(minutes=5)


def naive(delta):
    """Return a naive time relative to now, in Django's time zone, as users of the project write it."""
    return times.local(times.now()).replace(tzinfo=None) + delta


def is_near(moment, delta):
    """Return whether a moment is the given time from now."""
    return abs(moment - datetime.now(timezone.utc) - delta) < NEARLY


def launched(world, task=echo, args=("a",), run=None, **options):
    tree = TaskTree()
    node = tree.add_task(task, list(args), **options)
    result = tree.apply_async(**(run or {}))
    return result, result[node] if not result.run.eta else None


def due_at(message):
    """Return when a message is due, as a worker computes it."""
    eta = message.headers["eta"]
    return parse_iso8601(eta).astimezone(timezone.utc) if eta else None


def age(handle, seconds):
    """Make a node look queued for longer."""
    past = timedelta(seconds=seconds)
    nodes().filter(id=handle.id).update(queued_at=F("queued_at") - past)


def the_clock_of_the_database(world):
    assert is_near(times.instant(database_now()), timedelta())


def a_countdown_and_an_eta(world):
    for options in ({"countdown": 3600}, {"eta": naive(HOUR)}, {"eta": datetime.now(timezone.utc) + HOUR}):
        launched(world, **options)
        (message,) = world.receive_all()
        assert is_near(due_at(message), HOUR), options


def a_lost_message(world):
    _, handle = launched(world)
    world.receive_all()
    age(handle, 25)
    assert sweep(app).resent == 0
    age(handle, 10)
    assert sweep(app).resent == 1
    world.receive_all()


def a_lost_message_with_a_countdown(world):
    _, handle = launched(world, countdown=3600)
    world.receive_all()
    age(handle, 1800)
    assert sweep(app).resent == 0
    age(handle, 1800 + 60)
    nodes().filter(id=handle.id, eta__isnull=False).update(eta=F("eta") - timedelta(seconds=3660))
    assert sweep(app).resent == 1
    world.receive_all()


def a_retry_with_a_naive_eta(world):
    _, handle = launched(world, retry_at, [naive(HOUR).isoformat()])
    (message,) = world.receive_all()
    world.deliver(message, "w")
    assert (handle.state, handle.node.attempts) == ("RETRY", 1)
    assert is_near(times.instant(handle.node.eta), HOUR)
    (again,) = world.receive_all()
    assert is_near(due_at(again), HOUR)
    assert sweep(app).resent == 0


def a_run_that_starts_later(world):
    for eta in (naive(HOUR), datetime.now(timezone.utc) + HOUR):
        result, _ = launched(world, run={"eta": eta})
        assert is_near(times.instant(result.run.eta), HOUR)
        assert sweep(app).launched == 0
        assert result.state == "DRAFT"
        world.receive_all()


def messages_that_expire(world):
    for expires, state in [
        (naive(HOUR), "SUCCESS"),
        (datetime.now(timezone.utc) + HOUR, "SUCCESS"),
        (naive(-HOUR / 4), "REVOKED"),
        (3600, "SUCCESS"),
    ]:
        with celery_settings.changed(app, task_always_eager=True):
            _, handle = launched(world, expires=expires)
        assert handle.state == state, expires


def a_deadline(world):
    result, handle = launched(world, run={"deadline": naive(HOUR)})
    assert is_near(times.instant(result.run.deadline), HOUR)
    assert sweep(app).overdue == 0
    world.deliver_all("w")
    assert timedelta() <= handle.node.duration < NEARLY


def times_in_json(world):
    result, _ = launched(world)
    world.deliver_all("w")
    text = json.dumps(run_json(result.run, progress_of(result.run)), default=str)
    started = json.loads(text)["started_at"]
    assert is_near(datetime.fromisoformat(started.replace("Z", "+00:00")), timedelta()), started


CASES = [
    the_clock_of_the_database,
    a_countdown_and_an_eta,
    a_lost_message,
    a_lost_message_with_a_countdown,
    a_retry_with_a_naive_eta,
    a_run_that_starts_later,
    messages_that_expire,
    a_deadline,
    times_in_json,
]


def main():
    """Run all cases on each available database."""
    failed = []
    for alias in [alias for alias in ("default", "postgresql", "mariadb") if alias in settings.DATABASES]:
        connection = connections[alias]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            with databases.active(alias), simulation.simulated(app, f"zones-{os.getpid()}") as world:
                world.start_worker("w")
                for case in CASES:
                    try:
                        case(world)
                    except Exception:  # noqa: PERF203
                        failed.append(f"{alias}: {case.__name__}\n{traceback.format_exc()}")
        finally:
            connection.creation.destroy_test_db(str(settings.DATABASES[alias]["NAME"]), verbosity=0)
    sys.stdout.write("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
