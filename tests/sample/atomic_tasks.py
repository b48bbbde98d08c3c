"""Tasks whose task function and outcome share one transaction."""

import os
import signal
import time
from pathlib import Path

from celery.exceptions import Ignore, Reject
from django.db import DatabaseError, transaction

from django_tasktree import StopPropagation, current_node, task_with_callbacks
from tests.sample.models import Effect, Line


class Broken(Exception):
    """The error that the tasks raise."""


def leave(note=""):
    Effect.objects.create(node=current_node().id, note=note)


@task_with_callbacks(atomic=True)
def effect(value=None):
    leave(str(value)[:100])
    return value


@task_with_callbacks(atomic=True)
def effect_and_children(value=None):
    leave(str(value))
    current_node().add_task(effect, ["child"])
    return value


@task_with_callbacks(atomic=True)
def effect_and_fail(value=None):
    leave(str(value))
    current_node().add_task(effect, ["never"])
    raise Broken("after the write")


@task_with_callbacks(atomic=True)
def effect_and_stop(value=None):
    leave(str(value))
    raise StopPropagation(value)


@task_with_callbacks(atomic=True)
def effect_and_ignore(value=None):
    leave(str(value))
    raise Ignore("not now")


@task_with_callbacks(atomic=True)
def effect_and_reject(value=None):
    leave(str(value))
    raise Reject("unwanted", requeue=False)


@task_with_callbacks(bind=True, atomic=True, max_retries=3, default_retry_delay=0)
def effect_and_retry(self, failures, throw=True):
    leave(str(self.request.retries))
    if self.request.retries < failures:
        self.retry(exc=Broken("again"), throw=throw)
    return self.request.retries


@task_with_callbacks(bind=True, atomic=True, autoretry_for=(Broken,), max_retries=3, default_retry_delay=0)
def effect_and_autoretry(self, failures):
    leave(str(self.request.retries))
    if self.request.retries < failures:
        raise Broken("again")
    return self.request.retries


@task_with_callbacks(atomic=True)
def broken_transaction(value=None):
    try:
        Effect.objects.create(note="x" * 1000, id="no number")
    except (ValueError, DatabaseError):
        transaction.set_rollback(True, using=Effect.objects.db)
    return value


@task_with_callbacks(atomic=True)
def broken_reference(value=None):
    leave(str(value))
    Line.objects.create(effect_id=123456789)
    return value


@task_with_callbacks(atomic=True)
def commits(path):
    leave("commits")
    transaction.on_commit(lambda: Path(path).write_text("committed"), using=Effect.objects.db)
    raise Broken("no commit")


@task_with_callbacks(atomic=True)
def effect_then_die_once(marker):
    leave("dies")
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@task_with_callbacks(atomic="elsewhere")
def on_another_database():
    """Never run, because one transaction cannot span two databases."""


@task_with_callbacks(atomic=True)
def brief_effect(value=None):
    leave(str(value))
    time.sleep(0.02)
    return value
