"""What does not grow with the tree: time and statements a node, and the size of a message."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.environment import REDIS
from benchmarks.shapes import SHAPES
from benchmarks.tasks import echo
from django_tasktree import TaskTree
from django_tasktree.blueprint import draw
from django_tasktree.engine.launch import launch
from django_tasktree.engine.specs import Place, RunSpec
from testproject.celery import app

PERSISTED = (100, 10_000, 100_000)
RUN_EAGERLY = (100, 10_000)
CHAINS = (10, 100, 1_000)
QUEUE = "tasktree-benchmarks"


@dataclass(frozen=True)
class Persisted:
    """A fan-out written to the database, and not published."""

    nodes: int
    microseconds_a_node: float
    statements: int


def persisted(scale: float) -> Iterator[Persisted]:
    """Launch fan-outs of growing size."""
    for nodes in PERSISTED:
        tree = TaskTree()
        for number in range(max(1, round(nodes * scale))):
            tree.add_task(echo, [number])
        started = time.perf_counter()
        _persist(tree)
        seconds = time.perf_counter() - started
        with CaptureQueriesContext(connection) as queries:
            _persist(tree)
        yield Persisted(len(tree.children), seconds / len(tree.children) * 1e6, len(queries))


def statements_a_node(scale: float) -> Iterator[tuple[int, float]]:
    """Count the statements of a run of one node with many children, all in this process."""
    for nodes in RUN_EAGERLY:
        tree = TaskTree()
        root = tree.add_task(echo)
        children = max(1, round(nodes * scale))
        for number in range(children):
            root.add_task(echo, [number], ignore_result=True)
        with _eagerly(), _counted() as count:
            tree.apply_async()
        yield children, count() / children


def chain_of(nodes: int) -> float:
    """Run a chain on the worker; gives nodes a second."""
    tree = TaskTree()
    for number in range(nodes):
        tree.push(echo, [number], ignore_result=True)
    started = time.perf_counter()
    result = tree.apply_async()
    while not result.ready():
        time.sleep(0.05)
    return nodes / (time.perf_counter() - started)


def message_sizes() -> Iterator[tuple[int, int, int]]:
    """For chains of growing length: the bytes of our first message, and of canvas'; no worker may be running."""
    shape = next(shape for shape in SHAPES if shape.name == "chain")
    for length in CHAINS:
        tree = TaskTree()
        shape.ours(tree, length, {})
        tree.apply_async()
        ours = _taken()
        shape.canvas(length)
        yield length, ours, _taken()


def _persist(tree: TaskTree) -> UUID:
    spec = RunSpec()
    return launch(spec, draw(tree, Place(spec.id)).specs).run_id


def _taken() -> int:
    import redis

    client: Any = redis.Redis.from_url(REDIS)
    message = client.rpop(QUEUE)
    # Kombu wraps the body in JSON once more; what goes over the wire is this text.
    json.loads(message)
    return len(message)


@contextmanager
def _eagerly() -> Iterator[None]:
    app.conf.task_always_eager = True
    try:
        yield
    finally:
        app.conf.task_always_eager = False


@contextmanager
def _counted() -> Iterator[Callable[[], int]]:
    """Count statements without keeping them: 10,000 nodes take more than Django's log of queries holds."""
    number = 0

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal number
        number += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield lambda: number
