"""Tasks for tests: each shows one behaviour that a tree must handle."""

import gc
import os
import signal
import time
from datetime import datetime
from pathlib import Path

from celery import Task
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
from django.db import connections

from django_tasktree import StopPropagation, current_node, run_with_callbacks, task_with_callbacks
from tests.databases import active_alias
from tests.patience import PATIENCE
from tests.sample import (  # noqa: F401  workers import this module alone
    atomic_tasks,
    chunk_tasks,
    classes,
    counted_tasks,
    leaks,
    map_tasks,
    outcomes,
    stand_in_tasks,
    storm_tasks,
    sub_run_tasks,
)


class CustomError(Exception):
    """An error with its own arguments."""


@task_with_callbacks
def add(x, y):
    return x + y


@task_with_callbacks
def echo(value=None):
    return value


@task_with_callbacks
def count_objects():
    """Collect garbage, and return the process and its number of objects that can contain others."""
    gc.collect()
    # Long enough for each of the other processes to get one, too.
    time.sleep(0.1)
    return [os.getpid(), len(gc.get_objects())]


@task_with_callbacks
def total(values):
    return sum(values)


@task_with_callbacks
def fail(message="it broke"):
    raise CustomError(message)


@task_with_callbacks
def stop(result=None):
    raise StopPropagation(result)


@task_with_callbacks
def ignore():
    raise Ignore("not now")


@task_with_callbacks
def reject(requeue_once_file=None):
    if requeue_once_file is None:
        raise Reject("unwanted", requeue=False)
    path = Path(requeue_once_file)
    if not path.exists():
        path.touch()
        raise Reject("later", requeue=True)
    return "accepted"


@task_with_callbacks
def touch(path):
    """Append a line, so that a second execution is visible."""
    with Path(path).open("a") as file:
        file.write("x\n")
    return str(path)


@task_with_callbacks
def mkdir(path):
    """Create a directory; its parent must exist."""
    Path(path).mkdir()
    return str(path)


@task_with_callbacks(bind=True, max_retries=3, default_retry_delay=0)
def flaky(self, failures, result="done"):
    if self.request.retries < failures:
        raise self.retry(exc=CustomError(f"try {self.request.retries}"))
    return result


@task_with_callbacks(bind=True, max_retries=3)
def flaky_soon(self, failures, countdown):
    """Retry after a number of seconds."""
    if self.request.retries < failures:
        raise self.retry(countdown=countdown)
    return "done"


@task_with_callbacks(bind=True, max_retries=3)
def retry_at(self, eta):
    """Retry once, at a time in ISO format."""
    if self.request.retries == 0:
        raise self.retry(eta=datetime.fromisoformat(eta))
    return "done"


@task_with_callbacks
def wait_for_file(path):
    """Wait until the test creates a file."""
    end = time.monotonic() + PATIENCE
    while not Path(path).exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.02)


@task_with_callbacks(acks_late=True)
def wait_for_file_acks_late(path):
    """Wait like ``wait_for_file``, but acknowledge the message only at the end."""
    wait_for_file.run(path)


@task_with_callbacks(bind=True, max_retries=5, default_retry_delay=0)
def count_down(self, number, *, step=1, path=()):
    """Retry with other arguments each time."""
    if number > 0:
        raise self.retry(args=[number - step], kwargs={"step": step, "path": [*path, number]})
    return [*path, number]


@task_with_callbacks(bind=True, default_retry_delay=0)
def retry_with(self, what):
    raise self.retry(args=[object() if what == "object" else "x" * 2_000])


@task_with_callbacks(bind=True, autoretry_for=(CustomError,), max_retries=2, default_retry_delay=0)
def auto_flaky(self, failures):
    if self.request.retries < failures:
        raise CustomError(f"try {self.request.retries}")
    return self.request.retries


@task_with_callbacks(bind=True, max_retries=3, default_retry_delay=0)
def quiet_retry(self):
    if self.request.retries == 0:
        self.retry(throw=False)
    return self.request.retries


@task_with_callbacks(bind=True, max_retries=1)
def gives_up(self):
    """Return the number of retries when none is left."""
    try:
        raise self.retry(countdown=0)
    except MaxRetriesExceededError:
        return self.request.retries


@task_with_callbacks
def raises_retry_itself():
    raise Retry("by hand")


@task_with_callbacks
def unserializable():
    # Pickle cannot serialize it either.
    return lambda: None


@task_with_callbacks(on_worker_lost="fail")
def kill_own_process_once():
    os.kill(os.getpid(), signal.SIGKILL)


@task_with_callbacks(on_worker_lost="fail")
def leave():
    raise SystemExit(3)


@task_with_callbacks(bind=True)
def calls_itself(self, number):
    return number + self(number - 1) if number else 0


@task_with_callbacks(acks_late=True)
def sleep_acks_late(seconds):
    time.sleep(seconds)


@task_with_callbacks
def grow(width, depth):
    """Add children to the node for a number of levels, with a gather node under each node that has children."""
    node = current_node()
    if depth:
        for _ in range(width):
            node.add_task(grow, [width, depth - 1])
        node.gather(sum_up, [node.subtree_outputs])
    return 1


@task_with_callbacks
def grow_labelled(labels):
    for label in labels:
        current_node().add_task(echo, [label], label=label)


@task_with_callbacks
def sum_up(values):
    return 1 + sum(values)


@task_with_callbacks
def grow_and_fail():
    current_node().add_task(echo, [1])
    raise CustomError("grown, then failed")


@task_with_callbacks
def kill_own_process(marker=None):
    if marker is not None:
        path = Path(marker)
        if path.exists():
            return "survived"
        path.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return None


@task_with_callbacks
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@task_with_callbacks
def waits_for_another():
    """Wait for another task, which Celery forbids: with a single process, the other task could never run."""
    return echo.delay(1).get(timeout=60)


@task_with_callbacks
def append(path, text):
    with Path(path).open("a") as file:
        file.write(text)
    return text


@task_with_callbacks
def needs(path):
    """Fail if a file does not exist."""
    if not Path(path).exists():
        raise CustomError(f"{path} is missing")
    return "found"


@task_with_callbacks
def in_and_out(path, name):
    """Append a line when the task starts and when it ends."""
    for what in ("in", "out"):
        with Path(path).open("a") as file:
            file.write(f"{what} {name}\n")
        time.sleep(0.02)


class Report:
    """A result that takes attributes; it needs pickle."""

    def __init__(self, name):
        self.name = name


@task_with_callbacks
def report(name):
    return Report(name)


class MakeDirectory(Task):
    """The class-based task of celery-tasktree's documentation."""

    @run_with_callbacks
    def run(self, path):
        Path(path).mkdir()
        return str(path)


@task_with_callbacks
def takes_callback(callback=None):
    return callback


@task_with_callbacks
def note(*values, log):
    """Append the name of the call, which is the last value; the values before it are results of other tasks."""
    with Path(log).open("a") as file:
        file.write(f"{values[-1]}\n")
    return list(values)


@task_with_callbacks
def note_and_fail(*values, log):
    note.run(*values, log=log)
    raise CustomError(f"{values[-1]} failed")


@task_with_callbacks
def errback(task_id, *, log):
    note.run("errback of one argument", log=log)


@task_with_callbacks
def errback_with_all(request, exc, traceback, *, log):
    note.run(f"errback of three: {type(exc).__name__} {exc}", log=log)


if "TEST_RECEIVERS" in os.environ:
    from tests.sample import receivers as receivers
    from tests.sample import worker_trees

    worker_trees.register()


@task_with_callbacks
def change_session(statement):
    """Change the session of this process's database connection."""
    with connections[active_alias()].cursor() as cursor:
        cursor.execute(statement)


if "TEST_DOUBLING" in os.environ:
    from tests.sample import doubling

    doubling.install()
