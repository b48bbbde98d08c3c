"""Outputs inside arguments."""

import uuid

import pytest
from kombu.utils import json

from django_tasktree import TaskTree
from django_tasktree.blueprint import draw
from django_tasktree.engine.specs import Place
from django_tasktree.exceptions import BrokenReference
from django_tasktree.references import Reference, bind, find_all
from tests.sample.tasks import echo


@pytest.fixture
def node():
    return TaskTree().add_task(echo)


def test_an_output_is_found_anywhere(node):
    key = uuid.uuid4()
    value = {"a": [1, (node.output["rows"][0], {"b": node.outputs})]}
    bound, found = bind(value, lambda output: Reference(key, output.kind, output.path))
    assert found
    assert bound == {"a": [1, (Reference(key, "output", ("rows", 0)), {"b": Reference(key, "outputs")})]}
    assert next(find_all(bound, Reference), None)


def test_arguments_without_outputs_are_left_alone():
    value = {"a": [1]}
    assert bind(value, None) == (value, False)
    assert bind(value, None)[0] is value


def test_a_reference_travels_as_json():
    reference = Reference(uuid.uuid4(), "subtree_outputs", ("rows", 0))
    assert json.loads(json.dumps([reference])) == [reference]


def test_a_reference_picks_a_part():
    reference = Reference(uuid.uuid4(), "output", ("rows", 1, "id"))
    assert reference.pick({"rows": [None, {"id": 7}]}) == 7


def test_outputs_can_not_be_iterated_or_keyed_by_anything(node):
    with pytest.raises(TypeError, match="before its node has run"):
        list(node.outputs)
    with pytest.raises(TypeError, match="key or a position"):
        node.output[1.5]


def test_an_output_of_another_tree_is_refused(node):
    tree = TaskTree()
    tree.add_task(echo, [node.output])
    with pytest.raises(BrokenReference, match="not in its tree"):
        draw(tree, Place(uuid.uuid4()))
