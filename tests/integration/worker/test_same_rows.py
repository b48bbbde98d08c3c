"""In-process runs write the same rows as a real worker, except IDs, times and the name of the worker."""

import base64
import re
from contextlib import suppress

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from tests.integration.engine.one_node_cases import ONE_NODE
from tests.integration.engine.several_nodes_cases import SEVERAL
from tests.patience import PATIENCE, until
from tests.sample import chunk_tasks, tasks
from tests.sample.chunk_tasks import double
from tests.sample.tasks import add, echo, fail, total

SHAPES = {}
#: Of these columns, only whether they are set is compared.
TIMES = {"created_at", "queued_at", "started_at", "finished_at", "eta", "deadline"}
# Without a worker, no process carries other nodes.
KEYS = {"id", "task_id", "run_id", "node_id", "parent_id", "worker", "worker_id", "carried_by", "key"}


def shape(build):
    SHAPES[build.__name__.strip("_").replace("_", " ")] = build
    return build


def one(task, *args, **options):
    """Return a function that builds a tree of a node with a child for each outcome."""

    def build(tmp):
        tree = TaskTree()
        node = tree.add_task(task, [arg(tmp) if callable(arg) else arg for arg in args], **options)
        node.add_task(echo, [node.output])
        node.add_task(echo, run_when="failure")
        tree.gather(echo, [tree.outcomes], run_when="always")
        return tree

    return build


SHAPES |= {
    "success": one(add, 1, 2),
    "failure": one(fail, "broken"),
    "None": one(echo),
    "retries": one(tasks.flaky, 2),
    "retries that run out": one(tasks.flaky, 99),
    "automatic retries": one(tasks.auto_flaky, 1),
    "automatic retries that run out": one(tasks.auto_flaky, 99),
    "retries that are given up": one(tasks.gives_up),
    "a retry without throw": one(tasks.quiet_retry),
    "a retry by hand": one(tasks.raises_retry_itself),
    "retries that may fail": one(tasks.flaky, 99, allow_failure=True),
    "StopPropagation": one(tasks.stop, {"found": [1, 2]}),
    "Ignore": one(tasks.ignore),
    "Reject": one(tasks.reject),
    "Reject and requeue": one(tasks.reject, lambda tmp: str(tmp / "once")),
    "a result that can't be stored": one(tasks.unserializable),
    "pickled arguments and results": one(echo, tasks.CustomError("an argument")),
    "a pickled object": one(tasks.report, "r"),
    "a pickled argument of an object": one(echo, [complex(1, 2)]),
    "a pickled argument of a retry": one(tasks.flaky, 2, tasks.CustomError("an argument")),
    "a class": one(tasks.MakeDirectory, lambda tmp: str(tmp / "made")),
    "arguments that make it fail": one(total, ["a"]),
    "added_at_runtime": one(tasks.grow, 2, 2),
    "grown, then failed": one(tasks.grow_and_fail),
    "calls itself": one(tasks.calls_itself, 4),
    "options": one(echo, 1, priority=1, countdown=0.01, ignore_result=True),
    "expired": one(echo, 1, expires=-5),
    "a large result": one(echo, "x" * 200_000),
}


@shape
def an_empty_tree(tmp):
    return TaskTree("empty")


@shape
def references(tmp):
    tree = TaskTree()
    top = tree.add_task(echo, [{"rows": [1, 2, 3]}])
    for number in range(3):
        top.add_task(echo, [top.output["rows"][number]])
    top.add_task(fail)
    last = top.gather(echo, [[top.outputs, top.outcomes, top.subtree_outputs]], run_when="always")
    last.add_task(echo, kwargs={"value": {"last": last.output[0]}})
    return tree


@shape
def a_broken_reference(tmp):
    tree = TaskTree()
    top = tree.add_task(echo, [{"rows": [1]}])
    top.add_task(echo, [top.output["rows"][7]])
    broken = top.add_task(fail)
    broken.add_task(echo, [broken.output], run_when="failure")
    return tree


@shape
def map_reduce(tmp):
    tree = TaskTree()
    for width in range(4):
        branch = tree.add_task(echo, [width])
        for number in range(width):
            branch.add_task(echo, [number])
        branch.gather(total, [branch.outputs])
    tree.gather(total, [tree.subtree_outputs]).add_task(echo)
    return tree


@shape
def a_deep_chain(tmp):
    tree = TaskTree()
    last = tree.push(echo, [0])
    for _ in range(30):
        last = tree.push(add, [last.output, 1])
    return tree


@shape
def a_limit(tmp):
    tree = TaskTree(max_active=1)
    for number in range(4):
        tree.add_task(echo, [number]).add_task(echo)
    tree.gather(echo)
    return tree


@shape
def a_limit_of_a_node(tmp):
    tree = TaskTree()
    top = tree.add_task(echo, max_active=2)
    for number in range(5):
        top.add_task(echo, [number])
    top.gather(total, [top.outputs])
    return tree


def chunk_of(task, *values):
    """Return a function that builds a tree of nodes that run together, of which some have children."""

    def build(tmp):
        tree = TaskTree()
        for number, value in enumerate(values):
            node = tree.add_task(task, [value], allow_failure=number == 1)
            if number % 2:
                node.add_task(double, [node.output])
                node.add_task(echo, run_when="failure")
        tree.gather(echo, [tree.outcomes], run_when="always")
        return tree

    return build


SHAPES |= {
    "a chunk": chunk_of(double, 1, 2, 3, 4),
    "a chunk with failures": chunk_of(chunk_tasks.some_fail, 1, -2, "stop", "ignore", "reject", 5),
    "a chunk that fails": chunk_of(chunk_tasks.all_fail, 1, 2, 3),
    "a chunk with a wrong result": chunk_of(chunk_tasks.returns, [1], 2, 3),
    "a chunk with an automatic retry": chunk_of(chunk_tasks.auto_retry, 1, -2, 3),
    "a chunk with automatic retries": chunk_of(chunk_tasks.auto_retry_all, 1, 2, 3),
    "a chunk with hooks": chunk_of(chunk_tasks.hooked, "a", "refuse", "b"),
    "a chunk without its first node": chunk_of(chunk_tasks.hooked, "refuse", "a", "b"),
}


@shape
def a_chunk_with_references(tmp):
    tree = TaskTree()
    top = tree.add_task(echo, [{"rows": [1, 2, 3]}])
    for key in ("rows", "none", "rows"):
        top.add_task(double, [top.output[key][1]])
    return tree


@shape
def callbacks(tmp):
    tree = TaskTree("called back")
    tree.add_task(add, [1], {"y": 2, "callback": [echo.si("one"), fail.si("two")]})
    return tree


def unpacked(text):
    """Return the bytes of a pickle as text, so that IDs in it can be replaced."""
    _, is_pickled, encoded = text.partition("pickle:")
    return base64.b64decode(encoded).decode("latin-1") if is_pickled else text


def rows_of(run_id, tmp):
    """Return all rows of a run by name; a node is named after the positions from the root to it."""
    nodes = {node.id: node for node in NodeRun.objects.filter(run_id=run_id)}
    names = {run_id: "the run"}

    def name(node):
        above = [] if node.parent_id is None else name(nodes[node.parent_id])
        return [*above, node.position]

    names |= {key: f"node {name(node)}" for key, node in nodes.items()}
    known = {key.hex: text for key, text in names.items()} | {str(key): text for key, text in names.items()}
    known |= {str(node.task_id): f"task ID of {names[node.id]}" for node in nodes.values()}
    known[str(tmp)] = "tmp"
    pattern = re.compile("|".join(map(re.escape, known)))

    def columns(row):
        values = {column.attname: getattr(row, column.attname) for column in row._meta.concrete_fields}
        comparable = {key: value if key not in TIMES else value is not None for key, value in values.items()}
        return {
            key: pattern.sub(lambda match: known[match[0]], unpacked(str(value)))
            for key, value in comparable.items()
            if key not in KEYS
        }

    rows = {"the run": columns(TreeRun.objects.get(id=run_id))}
    rows |= {names[key]: columns(node) for key, node in nodes.items()}
    for attempt in NodeAttempt.objects.filter(node__run_id=run_id):
        rows[f"{names[attempt.node_id]}, attempt {attempt.number}"] = columns(attempt)
    return rows


def compare(build, run_tree, tmp_path):
    """Run a tree on a worker and in this process, and compare the rows."""
    trees = []
    for way in ("worker", "process"):
        (tmp_path / way).mkdir()
        trees.append(build(tmp_path / way))
    process = rows_of(run_tree(trees[1]).id, tmp_path / "process")
    result = trees[0].apply_async()
    result.wait(PATIENCE)
    # If a failure stops a run, its last nodes settle only after the end of the run.
    with suppress(AssertionError):
        until(lambda: rows_of(result.id, tmp_path / "worker") == process)
    worker = rows_of(result.id, tmp_path / "worker")
    assert process.keys() == worker.keys()
    for name, columns in worker.items():
        assert process[name] == columns, name


pytestmark = pytest.mark.worker
STACK = pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)


@STACK
@pytest.mark.parametrize("name", SHAPES)
def test_rows_of_a_tree(name, stack, run_tree, tmp_path):
    compare(SHAPES[name], run_tree, tmp_path)


@STACK
@pytest.mark.parametrize("case", [*ONE_NODE, *SEVERAL], ids=lambda case: case.description)
def test_rows_of_the_documented_cases(case, stack, run_tree, tmp_path):
    compare(lambda tmp: case.tree_and_nodes()[0], run_tree, tmp_path)
