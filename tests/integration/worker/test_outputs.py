"""Results as arguments: what a node receives from other nodes, on each database."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.references import Reference
from django_tasktree.exceptions import BrokenReference
from django_tasktree.models import NodeRun
from django_tasktree.worker import arguments
from django_tasktree.worker.arguments import fill_in
from tests.sample.tasks import add, echo, fail, ignore, stop, total

pytestmark = pytest.mark.usefixtures("database", "eager")


def received(build, value):
    """Return what a gather node of a tree receives for an output.

    Args:
        build: adds nodes to a tree, and returns what ``value`` needs of them.
        value: returns the argument of the gather node, from the tree and what ``build`` has returned.
    """
    tree = TaskTree()
    nodes = build(tree)
    gather = tree.gather(echo, [value(tree, nodes)], run_when="always")
    return tree.apply_async()[gather].get()


def four_ways(parent):
    """Add children that end in each way, and return them."""
    return [
        parent.add_task(echo, ["one"]),
        parent.add_task(fail, ["two"]),
        parent.add_task(ignore),
        parent.add_task(echo, ["expired"], expires=-1),
        parent.add_task(stop, ["five"]),
        parent.add_task(echo, [None]),
    ]


OUTCOMES = [
    {"state": "SUCCESS", "result": "one", "error": None},
    {"state": "FAILURE", "result": None, "error": {"type": "tests.sample.tasks.CustomError", "message": "two"}},
    {
        "state": "SKIPPED",
        "result": None,
        "error": {"type": "celery.exceptions.Ignore", "message": "the task function raised Ignore: not now"},
    },
    {
        "state": "REVOKED",
        "result": None,
        "error": {
            "type": "celery.exceptions.TaskRevokedError",
            "message": "the message expired before a worker started it",
        },
    },
    {"state": "SUCCESS", "result": "five", "error": None},
    {"state": "SUCCESS", "result": None, "error": None},
]


def without_calls(outcomes):
    """Return the outcomes without the calls of the nodes."""
    return [{key: each[key] for key in ("state", "result", "error")} for each in outcomes]


def test_outputs_of_root_nodes():
    assert received(four_ways, lambda tree, _: tree.outputs) == ["one", "five", None]
    assert without_calls(received(four_ways, lambda tree, _: tree.outcomes)) == OUTCOMES
    assert received(four_ways, lambda tree, _: tree.subtree_outputs) == ["one", "five", None]


def below_one_node(tree):
    top = tree.add_task(echo)
    four_ways(top)
    return top


def test_outputs_of_the_children_of_a_node():
    assert received(below_one_node, lambda _, top: top.outputs) == ["one", "five", None]
    assert without_calls(received(below_one_node, lambda _, top: top.outcomes)) == OUTCOMES
    assert received(below_one_node, lambda _, top: top.outcomes[1]["error"]["message"]) == "two"


def test_an_outcome_includes_the_call(eager):
    tree = TaskTree()
    top = tree.add_task(echo, [{"path": "a"}])
    failed = top.add_task(fail, ["two"], {})
    taken = top.add_task(echo, [top.output["path"]])
    result = tree.apply_async()
    gathered = result.add_task(echo, [Reference(result[top].id, "outcomes")]).get(5)
    assert [each["node"] for each in gathered] == [str(result[node].id) for node in (failed, taken)]
    assert [(each["task"], each["args"], each["kwargs"]) for each in gathered] == [
        ("tests.sample.tasks.fail", ["two"], {}),
        ("tests.sample.tasks.echo", ["output['path']"], {}),
    ]


def test_outputs_of_a_skipped_child():
    def build(tree):
        top = tree.add_task(echo)
        top.add_task(echo, run_when="failure").add_task(echo)
        return top

    assert without_calls(received(build, lambda _, top: top.outcomes)) == [
        {"state": "SKIPPED", "result": None, "error": None}
    ]
    assert received(build, lambda _, top: top.outputs) == []


def test_outputs_of_no_children():
    assert received(lambda tree: tree.add_task(echo), lambda _, top: [top.outputs, top.outcomes]) == [[], []]
    assert received(lambda tree: None, lambda tree, _: [tree.outputs, tree.outcomes, tree.subtree_outputs]) == [
        [],
        [],
        [],
    ]


def branches(parent):
    """Add children: without a gather node, with one, with several, and with one that fails."""
    parent.add_task(echo, ["plain"])
    parent.add_task(echo, ["hidden"]).gather(echo, ["gathered"])
    several = parent.add_task(echo, ["hidden"])
    for number in (1, 2, 3):
        several.gather(echo, [number])
    parent.add_task(echo, ["hidden"]).gather(fail)
    parent.add_task(echo, ["last"])
    return parent


SUBTREES = ["plain", "gathered", 1, 2, 3, "last"]


def test_subtree_outputs_are_in_order():
    assert received(branches, lambda tree, _: tree.subtree_outputs) == SUBTREES
    assert received(lambda tree: branches(tree.add_task(echo)), lambda _, top: top.subtree_outputs) == SUBTREES


def test_nested_parts():
    def build(tree):
        return tree.add_task(echo, [{"rows": [{"id": 7}, [1, 2]], "0": "a key"}])

    def value(_, node):
        rows = node.output["rows"]
        return {"id": [rows[0]["id"]], "last": rows[-1][1], "key": node.output["0"]}

    assert received(build, value) == {"id": [7], "last": 2, "key": "a key"}


def failure_of(task, args, above=echo, above_args=(None,), **options):
    """Return the error of a node whose arguments use the output of its parent."""
    tree = TaskTree()
    top = tree.add_task(above, above_args)
    node = top.add_task(task, args(top), **options)
    row = tree.apply_async()[node].node
    assert row.error_type == f"{BrokenReference.__module__}.BrokenReference"
    return row.error_message


def test_a_part_that_does_not_exist():
    rows = {"rows": [1]}
    message = failure_of(echo, lambda top: [top.output["rows"][3]], above_args=[rows])
    assert message.startswith("output['rows'][3] of node ")
    assert message.endswith(
        " (tests.sample.tasks.echo) does not exist: output['rows'] is a list of length 1, without [3]"
    )
    message = failure_of(echo, lambda top: [top.output["lines"]], above_args=[rows])
    assert message.endswith("does not exist: output is a dict with the keys 'rows', without ['lines']")
    message = failure_of(echo, lambda top: [top.output["x"]], above_args=[5])
    assert message.endswith("does not exist: output is of type int, without ['x']")
    message = failure_of(echo, lambda top: [top.output["x"]], above_args=[None])
    assert message.endswith("does not exist: output is None, without ['x']")
    message = failure_of(echo, lambda top: [top.output["x"]], above_args=[{str(number): 0 for number in range(9)}])
    assert message.endswith("output is a dict with the keys '0', '1', '2', '3', '4', …, without ['x']")


def test_a_node_without_a_result():
    message = failure_of(echo, lambda top: [top.output], above=fail, above_args=(), run_when="failure")
    assert message.endswith("(tests.sample.tasks.fail) has no result to pass on: its state is FAILURE")


def test_the_results_of_a_thousand_nodes():
    tree = TaskTree()
    top = tree.add_task(echo, [0])
    children = [top.add_task(echo, [number]) for number in range(1_000)]
    all_at_once = top.gather(total, [top.outputs])
    one_by_one = top.gather(total, [[child.output for child in children]])
    result = tree.apply_async()
    assert (result[all_at_once].get(), result[one_by_one].get()) == (499_500, 499_500)


def test_all_references_take_one_query(database):
    tree = TaskTree()
    top = branches(tree.add_task(echo, [{"a": 1}]))
    result = tree.apply_async()
    keys = {kind: Reference(result[top].id, kind) for kind in ("output", "outputs", "outcomes", "subtree_outputs")}
    of_run = {f"{kind} of the run": Reference(result.id, kind) for kind in ("outputs", "outcomes", "subtree_outputs")}
    with CaptureQueriesContext(connections[database]) as queries:
        _, values = fill_in(result.id, [], {**keys, **of_run, "again": [Reference(result[top].id, "output", ("a",))]})
    assert len(queries) == 1
    assert values["output"] == {"a": 1}
    assert values["again"] == [1]
    assert values["outputs"] == ["plain", "hidden", "hidden", "hidden", "last"]
    assert values["subtree_outputs"] == SUBTREES
    assert [outcome["state"] for outcome in values["outcomes"]] == 5 * ["SUCCESS"]
    assert (values["outputs of the run"], values["subtree_outputs of the run"]) == ([{"a": 1}], [{"a": 1}])
    assert [outcome["state"] for outcome in values["outcomes of the run"]] == ["SUCCESS"]


def test_many_keys_take_one_query_per_batch(database, monkeypatch):
    monkeypatch.setattr(arguments, "MAX_KEYS", 4)
    tree = TaskTree()
    nodes = [tree.add_task(echo, [number]) for number in range(10)]
    result = tree.apply_async()
    references = [Reference(result[node].id, "output") for node in nodes]
    with CaptureQueriesContext(connections[database]) as queries:
        values, _ = fill_in(result.id, [*references, Reference(result.id, "outputs")], {})
    assert len(queries) == 3
    assert values == [*range(10), [*range(10)]]


def test_more_keys_than_one_statement_accepts():
    tree = TaskTree()
    node = tree.add_task(echo, ["x"])
    result = tree.apply_async()
    references = [Reference(new_id(), "outputs") for _ in range(40_000)]
    values, _ = fill_in(result.id, [*references, Reference(result[node].id, "output")], {})
    assert values == [*([] for _ in references), "x"]


def test_outputs_of_another_run_are_refused():
    tree = TaskTree()
    node = tree.add_task(echo, ["secret"])
    other, mine = tree.apply_async(), tree.apply_async()
    with pytest.raises(BrokenReference, match="is not in this run"):
        fill_in(mine.id, [Reference(other[node].id, "output")], {})
    for kind in ("outputs", "outcomes", "subtree_outputs"):
        assert fill_in(mine.id, [Reference(other[node].id, kind), Reference(other.id, kind)], {})[0] == [[], []]


def test_a_refused_launch_writes_nothing():
    tree = TaskTree()
    one = tree.add_task(echo, [1])
    tree.add_task(add, [1, one.output])
    with pytest.raises(BrokenReference, match="may not have finished by then"):
        tree.apply_async()
    assert not NodeRun.objects.exists()
