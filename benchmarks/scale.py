"""Measure what must not grow with the tree: time and statements per node, the size of a message, the time of pages."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import psutil
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from benchmarks import environment
from benchmarks.environment import REDIS
from benchmarks.options import Options
from benchmarks.purge import copy_row
from benchmarks.shapes import SHAPES
from benchmarks.tables import Table
from benchmarks.tasks import echo
from django_tasktree import TaskTree, TreeResult
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.encoding import times
from django_tasktree.engine.lifecycle.launch import launch
from django_tasktree.engine.types import Placement, RunSpec
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting import query_cache
from testproject.celery import app

PERSISTED = (100, 10_000, 100_000, 1_000_000)
RUN_EAGERLY = (100, 10_000)
CHAINS = (10, 100, 1_000)
SHOWN = (1_000, 1_000_000)
LONG_CHAIN = 10_000


def tables(options: Options) -> Iterator[Table]:
    """Yield what must not grow with the tree."""
    scale = options.scale_factor
    yield _stored(scale)
    table = Table("Running a fan-out in one process", ["nodes", "statements per node"], labels=0)
    for nodes, statements in statements_per_node(scale):
        table.add(f"{nodes:,}", f"{statements:.3f}")
    yield table
    table = Table("Bytes of a chain's first message on Redis", ["length of the chain", "ours", "canvas"], labels=0)
    for length, ours, canvas in message_sizes():
        table.add(f"{length:,}", f"{ours:,}", f"{canvas:,}")
    yield table
    table = Table("Looking at a running run; milliseconds", ["face", "nodes", "first", "again"])
    for look in shown(scale):
        table.add(look.face, f"{look.nodes:,}", f"{1000 * look.first:.0f}", f"{1000 * look.again:.0f}")
    yield table
    nodes = max(2, round(LONG_CHAIN * scale))
    table = Table("A long chain", ["nodes", "nodes per second"], labels=0)
    with environment.worker():
        table.add(f"{nodes:,}", f"{chain_of(nodes):.0f}")
    yield table


def _stored(scale: float) -> Table:
    headings = ("nodes", "built per second", "bytes per node", "stored per second", "statements", "MB beside the tree")
    table = Table("A fan-out is built, and its launch is stored but not published", headings, labels=0)
    for row in persisted(scale):
        built, stored = row.nodes / row.building, row.nodes / row.launching
        figures = [f"{built:,.0f}", f"{row.tree / row.nodes:,.0f}", f"{stored:,.0f}", f"{row.statements:,}"]
        table.add(f"{row.nodes:,}", *figures, f"{row.beside / 1e6:.0f}")
    return table


@dataclass(frozen=True)
class Persisted:
    """The measurements of a fan-out that is built, and stored but not published.

    Attributes:
        nodes: the number of nodes.
        building: the time to build the tree, in seconds.
        tree: the memory of the tree, in bytes.
        launching: the time to store it, in seconds.
        beside: the memory that the launch needed beside the tree, in bytes.
        statements: the number of statements of the launch.
    """

    nodes: int
    building: float
    tree: int
    launching: float
    beside: int
    statements: int


def persisted(scale: float) -> Iterator[Persisted]:
    """Build and store fan-outs of growing size, and yield the measurements."""
    for nodes in PERSISTED:
        yield _persisted(max(1, round(nodes * scale)))


def _persisted(nodes: int) -> Persisted:
    memory = [_memory()]
    started = time.perf_counter()
    tree = TaskTree()
    for number in range(nodes):
        tree.add_task(echo, [number])
    built = time.perf_counter()
    memory.append(_memory())
    with _watched(lambda: memory.append(_memory())):
        spec = RunSpec()
        # The keys are kept like those of a handle.
        plan = plan_nodes(tree, Placement(spec.id))
        launch(spec, plan)
    stored = time.perf_counter()
    beside = max(memory[1:]) - memory[1]
    # One measurement before the tree, and one after it; the others were made at a statement.
    return Persisted(nodes, built - started, memory[1] - memory[0], stored - built, beside, len(memory) - 2)


def statements_per_node(scale: float) -> Iterator[tuple[int, float]]:
    """Run a node with many children in this process; yield the number of children and the statements per child."""
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
    """Run a chain on the worker, and return the nodes per second."""
    tree = TaskTree()
    for number in range(nodes):
        tree.push(echo, [number], ignore_result=True)
    started = time.perf_counter()
    result = tree.apply_async()
    while not result.ready():
        time.sleep(0.05)
    return nodes / (time.perf_counter() - started)


def message_sizes() -> Iterator[tuple[int, int, int]]:
    """Yield the length of a chain, and the bytes of its first message here and in Celery; no worker may run."""
    shape = SHAPES["chain"]
    for length in CHAINS:
        shape.tree(length).apply_async()
        ours = _taken()
        shape.canvas(app, length)
        yield length, ours, _taken()


@dataclass(frozen=True)
class Shown:
    """The time that a face of a run takes, in seconds: the first time and afterwards."""

    face: str
    nodes: int
    first: float
    again: float


def shown(scale: float) -> Iterator[Shown]:
    """Insert running runs, look at each in several ways, and yield the measurements."""
    user = get_user_model().objects.create_superuser("benchmarks")
    client = Client()
    client.force_login(user)
    # Requests import modules and compile templates once.
    client.get("/admin/")
    for nodes in SHOWN:
        size = max(1, round(nodes * scale))
        run = TreeRun.objects.create(state="STARTED", started_at=times.now())
        values = {"run_id": run.id, "task": "benchmarks.tasks.echo", "state": "QUEUED", "queued_at": times.now()}
        first = NodeRun.objects.create(**values)
        # The copies are siblings: the nodes directly under the run.
        copy_row(NodeRun, first.id, size - 1, id="gen_random_uuid()", position="generate_series")
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        for face, look in _faces(run, client).items():
            yield Shown(face, size, _seconds(look), _seconds(look))


def _faces(run: TreeRun, client: Client) -> dict[str, Callable[[], Any]]:
    page = f"/admin/django_tasktree/treerun/{run.id}"
    return {
        "page of the run": partial(_get, client, f"{page}/change/"),
        "its poll, which counts": partial(_get, client, f"{page}/live/"),
        "page afterwards": partial(_get, client, f"{page}/change/"),
        "graph": partial(_get, client, f"{page}/graph/"),
        "list of runs": partial(_get, client, "/admin/django_tasktree/treerun/"),
        "dashboard": partial(_get, client, "/admin/django_tasktree/treerun/dashboard/"),
        "status as JSON": partial(_get, client, f"/tasktree/runs/{run.id}/"),
        "progress()": TreeResult(run.id).progress,
    }


def _get(client: Client, path: str) -> None:
    response = client.get(path)
    if response.status_code != HTTPStatus.OK:
        raise RuntimeError(f"{path} has the status {response.status_code}")


def _seconds(look: Callable[[], Any]) -> float:
    query_cache.forget_all()
    started = time.perf_counter()
    look()
    return time.perf_counter() - started


def _memory() -> int:
    return int(psutil.Process().memory_info().rss)


def _taken() -> int:
    import redis

    client: Any = redis.Redis.from_url(REDIS)
    message = client.rpop(app.conf.task_default_queue)
    # The message on the wire is this text: JSON in which kombu has wrapped the encoded body.
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
    """Count statements without storing them: 10,000 nodes need more than Django's query log can hold."""
    number = 0

    def count() -> None:
        nonlocal number
        number += 1

    with _watched(count):
        yield lambda: number


@contextmanager
def _watched(at_statement: Callable[[], None]) -> Iterator[None]:
    """Call a function before each statement."""

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        at_statement()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield
