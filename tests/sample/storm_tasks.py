"""Tasks of the storm: each writes a line to a file when it starts and when it ends."""

import json
import os
import time
from typing import Any

from celery import chain

from django_tasktree import StopPropagation, TaskTree, current_node, register_tree, task_with_callbacks
from tests.databases import active_alias
from tests.sample import leaks, outcomes
from tests.sample.models import Effect

#: The arguments of the tasks of a map.
ITEMS: list[dict[str, Any]] = [
    {"label": f"item {number}", "kind": kind, "seconds": 0}
    for number, kind in enumerate(["succeeds", "fails", "succeeds"])
]


class Broken(Exception):
    """The error that these tasks raise."""


class Again(Exception):
    """The reason for another attempt."""


def note(what, node, attempt, given=None):
    """Append a line in a single write, which is atomic in append mode."""
    line = json.dumps([what, str(node.id), attempt, time.monotonic(), given]) + "\n"
    file = os.open(os.environ["TEST_JOURNAL"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def tokens(given):
    """Return the tokens of the results of other nodes."""
    if isinstance(given, list):
        return sorted(item["token"] for item in given if isinstance(item, dict))
    return given and given["token"]


def act(task, kind, seconds, given):
    node, attempt = current_node(), f"{task.request.id} {task.request.retries}"
    note("start", node, attempt, tokens(given))
    time.sleep(seconds)
    if kind == "retries" and task.request.retries < 2:
        note("end", node, attempt)
        raise task.retry(exc=Again(), countdown=0)
    if kind == "grows":
        for _ in range(2):
            node.add_task(storm, kwargs={"label": "grown", "kind": "succeeds", "seconds": 0})
    if kind == "atomic":
        Effect.objects.using(active_alias()).create(node=node.id, note="storm")
    note("end", node, attempt)
    if kind == "is replaced":
        inner = storm.si(label="inner", kind="succeeds", seconds=0)
        return task.replace(chain(inner, inner.clone()))
    return finish(kind, {"token": attempt, "items": ITEMS})


def finish(kind, value):
    if kind == "fails":
        raise Broken("as planned")
    if kind == "stops":
        raise StopPropagation(value)
    way, _, name = kind.partition(" ")
    if way == "leak":
        leaks.WAYS[name]()
    if way == "raise":
        return outcomes.CASES[name].act()
    return value


@task_with_callbacks(bind=True, max_retries=5)
def storm(self, label, kind, seconds, given=None):
    return act(self, kind, seconds, given)


@task_with_callbacks(bind=True, max_retries=5, acks_late=True)
def storm_late(self, label, kind, seconds, given=None):
    return act(self, kind, seconds, given)


@task_with_callbacks(bind=True, max_retries=5, atomic=True)
def storm_atomic(self, label, kind, seconds, given=None):
    return act(self, kind, seconds, given)


def storm_part(kind: str) -> TaskTree:
    """Return the tree of a sub-run, which waits for an event."""
    tree = TaskTree("storm part")
    first = tree.add_task(storm, kwargs={"label": "inner", "kind": kind, "seconds": 0})
    ok = first.wait_for("event")
    last = ok.add_task(storm, kwargs={"label": "inner", "kind": "succeeds", "seconds": 0, "given": ok.output})
    tree.returns(last.output)
    return tree


if "TEST_JOURNAL" in os.environ:
    # A worker of a storm.
    register_tree(storm_part)
