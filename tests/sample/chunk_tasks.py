"""Tasks whose function is called once for many nodes; most keep a list of the calls in this process."""

import os
import signal
import time
from pathlib import Path

from celery import Task
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject
from django.db import connections

from django_tasktree import CallbackTask, StopPropagation, current_node, run_with_callbacks, task_with_callbacks
from tests.databases import active_alias
from tests.sample.models import Effect

#: The arguments of each call in this process, in order.
CALLS = []


class Broken(Exception):
    """The error of the tasks."""


def _called(values):
    CALLS.append(list(values))
    return CALLS[-1]


@task_with_callbacks(chunk=10)
def double(values):
    return [2 * value for value in _called(values)]


@task_with_callbacks(chunk=4, bind=True)
def describe(self, first, /, second="s", *, third=None):
    """Return all arguments of each node, and the task ID that the function sees."""
    _called(first)
    return [[*values, self.request.id] for values in zip(first, second, third, strict=True)]


@task_with_callbacks(chunk=10)
def some_fail(values):
    """Return an exception for each negative value, and other exceptions for texts."""
    errors = {"stop": StopPropagation("stopped"), "ignore": Ignore("ignored"), "reject": Reject("no", requeue=False)}
    return [errors[value] if value in errors else value if value >= 0 else Broken(value) for value in _called(values)]


@task_with_callbacks(chunk=10)
def all_fail(values):
    raise Broken(f"{len(_called(values))} together")


@task_with_callbacks(chunk=10)
def leave(values):
    _called(values)
    raise SystemExit("left")


@task_with_callbacks(chunk=10)
def returns(values):
    """Return the first value, whatever it is."""
    return _called(values)[0]


@task_with_callbacks(chunk=10, autoretry_for=(Broken,), retry_kwargs={"max_retries": 2, "countdown": 0})
def auto_retry(values):
    """Let negative values fail when they are together with others."""
    return [Broken(value) if value < 0 and len(values) > 1 else value for value in _called(values)]


@task_with_callbacks(chunk=10, autoretry_for=(Broken,), retry_kwargs={"max_retries": 1, "countdown": 0})
def auto_retry_all(values):
    if len(_called(values)) > 1:
        raise Broken("not together")
    return values


@task_with_callbacks(chunk=10, bind=True, max_retries=3)
def ask_retry(self, values, throw=None):
    if len(_called(values)) > 1:
        self.retry(exc=Broken("not together"), countdown=0, throw=throw[0] is not False)
    return values


@task_with_callbacks(chunk=10, bind=True, max_retries=0)
def give_up(self, values):
    try:
        raise self.retry(countdown=0)
    except MaxRetriesExceededError:
        return _called(values)


@task_with_callbacks(chunk=10, bind=True)
def retry_with_arguments(self, values):
    raise self.retry(args=[values], countdown=0)


@task_with_callbacks(chunk=10)
def ask_for_node(values):
    return [current_node().id.hex for _ in values]


@task_with_callbacks(chunk=10)
def call_itself(values):
    """Call the own task with lists."""
    _called(values)
    return values if values[0] == 0 else call_itself([0 for _ in values])


@task_with_callbacks(chunk=10)
def with_refused_statement(values):
    """Let a statement fail, and write rows."""
    for value in _called(values):
        Effect.objects.create(node="00000000000000000000000000000000", note=str(value))
    try:
        with connections[active_alias()].cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")
    except Exception:
        return values
    return []


@task_with_callbacks(chunk=10, time_limit=30)
def with_time_limit(values):
    return _called(values)


@task_with_callbacks(chunk=10, time_limit=30)
def count_values(values):
    return [len(values)] * len(values)


@task_with_callbacks(chunk=10, time_limit=1)
def too_slow(values):
    if "slow" in values:
        time.sleep(60)
    return values


@task_with_callbacks(chunk=10, soft_time_limit=1)
def softly_too_slow(values):
    if "slow" in values:
        time.sleep(60)
    return values


@task_with_callbacks(chunk=10, share_message=False)
def one_chunk(values):
    return _called(values)


@task_with_callbacks(chunk=1)
def single(values):
    return _called(values)


@task_with_callbacks(chunk=10)
def kill_once(paths):
    """Kill the process if it is the first one; return how many nodes run together."""
    path = Path(paths[0])
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [len(paths)] * len(paths)


@task_with_callbacks(chunk=20)
def leave_effects(values):
    """Write a row for each node, and take a moment, in which the process may be killed."""
    Effect.objects.bulk_create(Effect(note=str(value)) for value in values)
    time.sleep(0.05)
    return values


class Triple(Task):
    chunk = 10

    @run_with_callbacks
    def run(self, values):
        return [3 * value for value in _called(values)]


class Hooks(CallbackTask):
    """Runs hooks for each node."""

    abstract = True
    chunk = 10

    def before_start(self, task_id, args, kwargs):
        if args[0] == "refuse":
            raise Broken("refused")

    def __call__(self, *args, **kwargs):
        return ["around", super().__call__(*args, **kwargs)]


@task_with_callbacks(base=Hooks)
def hooked(values):
    return _called(values)
