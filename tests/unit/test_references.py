"""Outputs inside arguments."""

import uuid

import pytest
from kombu.utils import json

from django_tasktree import TaskTree
from django_tasktree.blueprint import draw
from django_tasktree.engine.specs import Place
from django_tasktree.exceptions import BrokenReference
from django_tasktree.nested import find_all
from django_tasktree.references import Reference
from tests.sample.tasks import echo


@pytest.fixture
def node():
    return TaskTree().add_task(echo)


def test_an_output_is_found_anywhere():
    tree = TaskTree()
    first = tree.add_task(echo)
    second = first.add_task(echo, [{"a": [1, (first.output["rows"][0], {"b": first.output})]}])
    blueprint = draw(tree, Place(uuid.uuid4()))
    args = json.loads(blueprint.specs[1].args)
    key = blueprint.keys[first]
    assert args == [{"a": [1, [Reference(key, "output", ("rows", 0)), {"b": Reference(key, "output")}]]}]
    assert [spec.has_references for spec in blueprint.specs] == [False, True]
    assert next(find_all(args, Reference), None)
    # What was built is not changed.
    assert second.args[0]["a"][1][1] == {"b": first.output}


def test_a_reference_travels_as_json():
    reference = Reference(uuid.uuid4(), "subtree_outputs", ("rows", 0))
    assert json.loads(json.dumps([reference])) == [reference]


def test_a_reference_picks_a_part():
    reference = Reference(uuid.uuid4(), "output", ("rows", 1, "id"))
    assert reference.pick({"rows": [None, {"id": 7}]}) == 7


@pytest.mark.parametrize(
    "use",
    [
        list,
        str,
        bool,
        len,
        int,
        float,
        format,
        hex,
        lambda output: f"{output}",
        lambda output: f"{output:>10}",
        lambda output: "%s" % output,  # noqa: UP031
        lambda output: "a" in output,
        lambda output: output or "default",
        lambda output: [1, 2][output],
        lambda output: {"a": 1} if output else {},
        lambda output: [*output],
    ],
)
def test_an_output_has_no_value_before_its_node_has_run(node, use):
    for output in (node.output["rows"], node.outputs, node.outcomes, node.subtree_outputs):
        with pytest.raises(TypeError, match=r"has no value before the node has run: pass it on as an argument"):
            use(output)
    assert "rows" in repr(node.output["rows"])


def test_an_output_can_not_be_keyed_by_anything(node):
    with pytest.raises(TypeError, match="key or a position"):
        node.output[1.5]


def test_an_output_of_another_tree_is_refused(node):
    tree = TaskTree()
    tree.add_task(echo, [node.output])
    with pytest.raises(BrokenReference, match="not in its tree"):
        draw(tree, Place(uuid.uuid4()))
