"""Labels of nodes while a tree is being built."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.encoding.labels import LABEL_LENGTH, position_of, steps_of
from django_tasktree.exceptions import InvalidOption, InvalidText
from django_tasktree.states import NodeState
from tests.sample.tasks import echo


def test_a_label():
    tree = TaskTree()
    node = tree.add_task(echo, label="fetch")
    assert (node.label, tree.add_task(echo).label) == ("fetch", None)
    assert repr(node) == "<TaskTreeNode 'fetch' (tests.sample.tasks.echo), children: 0>"


def test_all_ways_to_add_a_node_take_a_label():
    tree = TaskTree()
    assert [tree.push(echo, label="a").label, tree.push(echo, label="a").label] == ["a", "a"]
    assert tree.gather(echo, label="b").label == "b"


@pytest.mark.parametrize(
    ("label", "error", "message"),
    [
        ("", InvalidOption, "empty"),
        ("a/b", InvalidOption, "separates"),
        (3, InvalidOption, r"use str\("),
        ([1], InvalidOption, r"use str\("),
        ("a/" * 1_000, InvalidOption, r".{,40} contains '/'"),
        ("x" * (LABEL_LENGTH + 1), InvalidText, "256 characters"),
        ("a\0b", InvalidText, "NUL"),
    ],
)
def test_a_wrong_label_is_refused_and_nothing_added(label, error, message):
    tree = TaskTree()
    with pytest.raises(error, match=f"label=.*{message}"):
        tree.add_task(echo, label=label)
    assert tree.children == []


def test_siblings_have_different_labels():
    tree = TaskTree()
    node = tree.add_task(echo, label="a")
    node.add_task(echo, label="a").add_task(echo, label="a")
    with pytest.raises(InvalidOption, match=r"label='a' is the label of another child of <TaskTree '', root nodes: 1>"):
        tree.gather(echo, label="a")
    assert tree.children == [node]


def test_a_label_is_free_again_after_pop():
    tree = TaskTree()
    tree.push(echo, label="a")
    tree.pop()
    assert tree.push(echo, label="a").label == "a"


def test_labels_may_contain_anything_else():
    tree = TaskTree()
    for label in ["3", "a b", "São Paulo", "a.b:c", " a ", "a\n", "x" * LABEL_LENGTH, "A", "a"]:
        assert tree.add_task(echo, label=label).label == label


def test_the_label_of_a_node_can_not_be_changed():
    tree = TaskTree()
    tree.add_task(echo, label="a")
    with pytest.raises(AttributeError):
        tree.add_task(echo).label = "a"  # type: ignore[misc]


def test_a_member_of_an_enumeration_becomes_its_value():
    label = TaskTree().add_task(echo, label=NodeState.SUCCESS).label
    assert (type(label), label) == (str, "SUCCESS")


@pytest.mark.parametrize("path", ["", "/", "a//b", "a/"])
def test_a_path_with_an_empty_step(path):
    with pytest.raises(ValueError, match="is not a path"):
        steps_of(path)


def test_steps_that_may_be_positions():
    assert [position_of(step) for step in ["0", "12", "007", "x", "-1", "²", "1" * 10]] == [0, 12, 7, *[None] * 4]
