"""Results passed on: what a node is given of other nodes, on each database."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.exceptions import BrokenReference
from django_tasktree.identifiers import new_id
from django_tasktree.models import NodeRun
from django_tasktree.references import Reference
from django_tasktree.worker import arguments
from django_tasktree.worker.arguments import fill_in
from tests.sample.tasks import add, echo, fail, ignore, stop, total

pytestmark = pytest.mark.usefixtures("database", "eager")


def given(node_of, value):
    """What a gather node of the tree is given for an output."""
    tree = TaskTree()
    nodes = node_of(tree)
    gather = tree.gather(echo, [value(tree, nodes)], run_when="always")
    return tree.apply_async()[gather].get()


def four_ways(parent):
    """Children that end in each way."""
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
        "error": {"type": "celery.exceptions.Ignore", "message": "the body asked to be ignored: not now"},
    },
    {
        "state": "REVOKED",
        "result": None,
        "error": {
            "type": "celery.exceptions.TaskRevokedError",
            "message": "the message expired before a worker could start it",
        },
    },
    {"state": "SUCCESS", "result": "five", "error": None},
    {"state": "SUCCESS", "result": None, "error": None},
]


def ends(outcomes):
    """How the nodes ended, without what they were."""
    return [{key: each[key] for key in ("state", "result", "error")} for each in outcomes]


def test_of_root_nodes():
    assert given(four_ways, lambda tree, _: tree.outputs) == ["one", "five", None]
    assert ends(given(four_ways, lambda tree, _: tree.outcomes)) == OUTCOMES
    assert given(four_ways, lambda tree, _: tree.subtree_outputs) == ["one", "five", None]


def below_one(tree):
    top = tree.add_task(echo)
    four_ways(top)
    return top


def test_of_the_children_of_a_node():
    assert given(below_one, lambda _, top: top.outputs) == ["one", "five", None]
    assert ends(given(below_one, lambda _, top: top.outcomes)) == OUTCOMES
    assert given(below_one, lambda _, top: top.outcomes[1]["error"]["message"]) == "two"


def test_an_outcome_says_of_which_call_it_is(eager):
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


def test_of_a_child_that_did_not_fit():
    def build(tree):
        top = tree.add_task(echo)
        top.add_task(echo, run_when="failure").add_task(echo)
        return top

    assert ends(given(build, lambda _, top: top.outcomes)) == [{"state": "SKIPPED", "result": None, "error": None}]
    assert given(build, lambda _, top: top.outputs) == []


def test_of_no_children_at_all():
    assert given(lambda tree: tree.add_task(echo), lambda _, top: [top.outputs, top.outcomes]) == [[], []]
    assert given(lambda tree: None, lambda tree, _: [tree.outputs, tree.outcomes, tree.subtree_outputs]) == [[], [], []]


def branches(parent):
    """Of its children one has no gather node, one has one, one has several, and one has one that failed."""
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
    assert given(branches, lambda tree, _: tree.subtree_outputs) == SUBTREES
    assert given(lambda tree: branches(tree.add_task(echo)), lambda _, top: top.subtree_outputs) == SUBTREES


def test_nested_parts():
    def build(tree):
        return tree.add_task(echo, [{"rows": [{"id": 7}, [1, 2]], "0": "a key"}])

    def value(_, node):
        rows = node.output["rows"]
        return {"id": [rows[0]["id"]], "last": rows[-1][1], "key": node.output["0"]}

    assert given(build, value) == {"id": [7], "last": 2, "key": "a key"}


def failure_of(task, args, above=echo, above_args=(None,), **options):
    """The error of a node with arguments made from the output of the node above it."""
    tree = TaskTree()
    top = tree.add_task(above, above_args)
    node = top.add_task(task, args(top), **options)
    row = tree.apply_async()[node].node
    assert row.error_type == f"{BrokenReference.__module__}.BrokenReference"
    return row.error_message


def test_a_part_that_is_not_there():
    rows = {"rows": [1]}
    told = failure_of(echo, lambda top: [top.output["rows"][3]], above_args=[rows])
    assert told.endswith("has no part ['rows'][3] (IndexError('list index out of range'))")
    assert "(tests.sample.tasks.echo) has no part" in told
    told = failure_of(echo, lambda top: [top.output["lines"]], above_args=[rows])
    assert told.endswith("has no part ['lines'] (KeyError('lines'))")
    assert "has no part ['x'] (TypeError(" in failure_of(echo, lambda top: [top.output["x"]], above_args=[5])


def test_a_node_without_a_result():
    told = failure_of(echo, lambda top: [top.output], above=fail, above_args=(), run_when="failure")
    assert told.endswith("(tests.sample.tasks.fail) has no result to pass on: its state is FAILURE")


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


def test_thousands_of_keys_take_a_query_a_portion(database, monkeypatch):
    monkeypatch.setattr(arguments, "_MOST_KEYS", 4)
    tree = TaskTree()
    nodes = [tree.add_task(echo, [number]) for number in range(10)]
    result = tree.apply_async()
    references = [Reference(result[node].id, "output") for node in nodes]
    with CaptureQueriesContext(connections[database]) as queries:
        values, _ = fill_in(result.id, [*references, Reference(result.id, "outputs")], {})
    assert len(queries) == 3
    assert values == [*range(10), [*range(10)]]


def test_more_keys_than_a_statement_takes():
    tree = TaskTree()
    node = tree.add_task(echo, ["x"])
    result = tree.apply_async()
    references = [Reference(new_id(), "outputs") for _ in range(40_000)]
    values, _ = fill_in(result.id, [*references, Reference(result[node].id, "output")], {})
    assert values == [*([] for _ in references), "x"]


def test_another_run_is_out_of_reach():
    tree = TaskTree()
    node = tree.add_task(echo, ["secret"])
    other, mine = tree.apply_async(), tree.apply_async()
    with pytest.raises(BrokenReference, match="is not in this run"):
        fill_in(mine.id, [Reference(other[node].id, "output")], {})
    for kind in ("outputs", "outcomes", "subtree_outputs"):
        assert fill_in(mine.id, [Reference(other[node].id, kind), Reference(other.id, kind)], {})[0] == [[], []]


def test_a_launch_that_is_refused_writes_nothing():
    tree = TaskTree()
    one = tree.add_task(echo, [1])
    tree.add_task(add, [1, one.output])
    with pytest.raises(BrokenReference, match="may not have finished by then"):
        tree.apply_async()
    assert not NodeRun.objects.exists()
