"""Outputs as parts of arguments."""

import copy
import uuid

import pytest
from kombu.utils import json

from django_tasktree import TaskTree
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.encoding.nested import find_all
from django_tasktree.encoding.references import Reference
from django_tasktree.engine.types import Placement
from django_tasktree.exceptions import BrokenReference
from tests.sample.tasks import echo


@pytest.fixture
def node():
    return TaskTree().add_task(echo)


def test_an_output_is_found_at_any_depth():
    tree = TaskTree()
    first = tree.add_task(echo)
    second = first.add_task(echo, [{"a": [1, (first.output["rows"][0], {"b": first.output})]}])
    plan = plan_nodes(tree, Placement(uuid.uuid4()))
    specs = list(plan)
    args = json.loads(specs[1].args)
    key = plan.keys[first]
    assert args == [{"a": [1, [Reference(key, "output", ("rows", 0)), {"b": Reference(key, "output")}]]}]
    assert [spec.has_references for spec in specs] == [False, True]
    assert next(find_all(args, Reference), None)
    # The original value is unchanged.
    assert second.args[0]["a"][1][1] == {"b": first.output}


def test_a_reference_travels_as_json():
    reference = Reference(uuid.uuid4(), "subtree_outputs", ("rows", 0))
    assert json.loads(json.dumps([reference])) == [reference]


def test_a_reference_selects_a_part():
    reference = Reference(uuid.uuid4(), "output", ("rows", 1, "id"))
    assert reference.pick({"rows": [None, {"id": 7}]}) == 7


def divmod_by_two(output):
    divmod(output, 2)


def add_in_place(output):
    output += 1


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
        lambda output: output + "x",
        lambda output: "x" + output,
        lambda output: [1] + output,  # noqa: RUF005
        lambda output: output + 1,
        lambda output: 1 + output,
        lambda output: output - 1,
        lambda output: 2 * output,
        lambda output: output / 2,
        lambda output: 1 // output,
        lambda output: output % 2,
        lambda output: 2**output,
        lambda output: -output,
        lambda output: output | {},
        lambda output: output & 1,
        lambda output: output > 5,
        lambda output: output <= 5,
        abs,
        round,
        divmod_by_two,
        add_in_place,
    ],
)
def test_an_output_has_no_value_before_its_node_has_run(node, use):
    for output in (node.output["rows"], node.outputs, node.outcomes, node.subtree_outputs):
        with pytest.raises(TypeError, match=r"has no value before the node has run: pass it on as an argument"):
            use(output)
    assert "rows" in repr(node.output["rows"])


@pytest.mark.parametrize("use", [str, format, lambda node: f"{node}", lambda node: f"{node:>10}", "{}".format])
def test_a_node_cannot_be_used_as_text(node, use):
    with pytest.raises(TypeError, match=r"<TaskTreeNode .*> has no value before it has run: pass its output"):
        use(node)
    assert repr(node) == "<TaskTreeNode tests.sample.tasks.echo, children: 0>"


def test_a_part_of_an_output_is_not_an_attribute(node):
    with pytest.raises(AttributeError, match=r"output has no attribute 'total': .* is output\['total'\]"):
        _ = node.output.total
    with pytest.raises(AttributeError, match=r"is output\['rows'\]\[0\]\['id'\]"):
        _ = node.output["rows"][0].id
    for name in ("node", "kind", "path"):
        with pytest.raises(AttributeError, match=rf"is output\['{name}'\]"):
            getattr(node.output, name)
    assert copy.copy(node.output["rows"]) == node.output["rows"] != node.output


def test_keys_of_an_output_have_limited_types(node):
    with pytest.raises(TypeError, match="key or a position"):
        node.output[1.5]


def test_an_output_of_another_tree_is_refused(node):
    tree = TaskTree()
    tree.add_task(echo, [node.output])
    with pytest.raises(BrokenReference, match="not in its tree"):
        list(plan_nodes(tree, Placement(uuid.uuid4())))
