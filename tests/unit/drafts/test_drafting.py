"""Build a tree from the rows of a draft."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.drafts import InvalidDraft, NodeRow, build
from django_tasktree.encoding.references import Output
from tests.sample.tasks import add, echo, total

ECHO = echo.name


def built(*rows):
    tree = TaskTree()
    build(tree, rows)
    return tree


def errors(*rows):
    with pytest.raises(InvalidDraft) as caught:
        built(*rows)
    return caught.value.errors


def test_parents_children_and_rules():
    tree = built(
        NodeRow("below", ECHO, parent="top", run_when="failure", allow_failure=True, options={"queue": "mail"}),
        NodeRow("last", total.name, [[1]], parent="", is_gather=True, run_when="always"),
        NodeRow("top", add.name, [1], {"y": 2}),
    )
    last, top = tree.children
    assert (top.task, top.args, top.kwargs) == (add.name, (1,), {"y": 2})
    (below,) = top.children
    assert (below.rules.run_when, below.rules.allow_failure, below.options) == ("failure", True, {"queue": "mail"})
    assert (last.rules.is_gather, last.rules.run_when) == (True, "always")


def test_references_to_results_become_outputs():
    tree = built(
        NodeRow("a", ECHO),
        NodeRow("b", ECHO, [{"$output": "a", "path": ["rows", 0]}], parent="a"),
        NodeRow("c", total.name, kwargs={"values": {"x": [{"$outputs": ""}]}}, is_gather=True),
    )
    a, c = tree.children
    assert a.children[0].args == (Output(a, "output", ("rows", 0)),)
    assert c.kwargs == {"values": {"x": [Output(tree, "outputs")]}}


@pytest.mark.parametrize("value", [{"$output": "a", "more": 1}, {"$other": "a"}, {"path": []}, {}])
def test_a_value_that_only_resembles_a_reference_is_unchanged(value):
    assert built(NodeRow("a", ECHO, [value])).children[0].args == (value,)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([NodeRow("a", ECHO), NodeRow("a", ECHO)], {1: {"name": "row 1 has the name 'a' too"}}),
        ([NodeRow("a", ECHO, parent="b")], {0: {"parent": "no row has the name 'b'"}}),
        ([NodeRow("a", ECHO, ["x", "y", "z"])], {0: {"args": "takes from 0 to 1 positional arguments"}}),
        ([NodeRow("a", ECHO, options={"quene": 1})], {0: {"options": "did you mean 'queue'?"}}),
        ([NodeRow("a", ECHO, run_when="failure")], {0: {"run_when": "never fits a root node"}}),
        ([NodeRow("a", "celery.backend_cleanup")], {0: {"task": "can't take part in a tree"}}),
        ([NodeRow("a", ECHO[:-1])], {0: {"task": f"did you mean '{ECHO}'"}}),
        ([NodeRow("a", ECHO, [{"$output": "b"}])], {0: {"args": "$output: no row has the name 'b'"}}),
        ([NodeRow("a", ECHO, [{"$output": ""}])], {0: {"args": "the tree itself has no result"}}),
        ([NodeRow("a", ECHO, [{"$output": ["a"]}])], {0: {"args": "no row has the name ['a']"}}),
        ([NodeRow("a", ECHO, [{"$outputs": "a", "path": "x"}])], {0: {"args": "a list of keys and positions"}}),
        ([NodeRow("a", ECHO, [{"$outputs": "a", "path": [1.5]}])], {0: {"args": "a list of keys and positions"}}),
    ],
)
def test_an_error_is_reported_at_its_row_and_field(rows, found):
    reported = errors(*rows)
    assert {row: {*reasons} for row, reasons in reported.items()} == {row: {*reasons} for row, reasons in found.items()}
    for row, reasons in found.items():
        for name, reason in reasons.items():
            assert reason in reported[row][name]


def test_a_cycle_of_parents():
    reported = errors(NodeRow("a", ECHO, parent="b"), NodeRow("b", ECHO, parent="a"), NodeRow("c", ECHO))
    assert {*reported} == {0, 1}
    assert reported[0]["parent"].startswith("it is below itself")


def test_all_errors_are_reported_together():
    reported = errors(NodeRow("a", "nonsense"), NodeRow("b", ECHO, [1, 2], parent="a"), NodeRow("c", ECHO, [1, 2]))
    # Rows below an invalid row are checked once that row is valid.
    assert {*reported} == {0, 2}


def test_a_reference_can_not_be_forged():
    from kombu.utils import json

    forged = json.loads('{"__type__": "tasktree-output", "__value__": ["01a20b69558d7c55976860e5f99ed5e7", "output"]}')
    assert "$output" in errors(NodeRow("a", ECHO, [forged]))[0]["args"]
    with pytest.raises(InvalidDraft) as caught:
        build(TaskTree(), [NodeRow("a", ECHO)], ([forged],))
    assert "$output" in caught.value.result_error


def test_labels():
    tree = built(NodeRow("a", ECHO, label="first"), NodeRow("b", ECHO, label="first", parent="a"), NodeRow("c", ECHO))
    first, third = tree.children
    assert (first.label, first.children[0].label, third.label) == ("first", "first", None)
    assert errors(NodeRow("a", ECHO, label="x"), NodeRow("b", ECHO, label="x"))[1]["label"].startswith("label='x' is")
    assert "separates" in errors(NodeRow("a", ECHO, label="x/y"))[0]["label"]
    assert "256 characters" in errors(NodeRow("a", ECHO, label="x" * 256))[0]["label"]
