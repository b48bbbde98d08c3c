"""Copies of runs: built again by their definition, or copied node by node."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidParameter, NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.testing import registered
from tests.integration.control.play import play, states
from tests.sample.tasks import add, echo, grow, total

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def definition():
    """Register a definition and yield its name."""
    with registered(copied):
        yield "copied"


def copied(times: int, word: str = "x") -> TaskTree:
    """Build a tree of equal nodes."""
    tree = TaskTree()
    for _ in range(times):
        tree.add_task(echo, [word])
    return tree


def test_a_run_of_a_definition_is_built_again_with_other_parameters(definition):
    from django_tasktree.definitions.launch import launch_definition

    result = launch_definition(definition, {"times": 2, "word": "old"})
    copied = result.copy(times=3, by="test")
    assert copied.run.params == {"times": 3, "word": "old"}
    assert len(copied) == 3
    assert copied.run.copy_of_id == result.id
    assert [(entry.action, entry.note) for entry in result.history] == [("copy", str(copied.id))]
    assert [(entry.action, entry.note) for entry in copied.history] == [("launch", f"copy of {result.id}")]
    play(copied.id)
    assert (result.state, copied.state) == ("STARTED", "SUCCESS")


def test_an_invalid_parameter_copies_nothing(definition):
    from django_tasktree.definitions.launch import launch_definition

    result = launch_definition(definition, {"times": 2})
    with pytest.raises(InvalidParameter):
        result.copy(times="many")
    assert result.history == []


def test_any_other_run_is_copied_node_by_node(eager):
    tree = TaskTree("sum", max_active=5, on_failure="stop")
    first = tree.add_task(add, [1, 2])
    first.add_task(add, [first.output, 10], allow_failure=True)
    first.gather(total, [first.outputs], run_when="always")
    tree.gather(total, [tree.outputs])
    result = tree.apply_async()
    copied = result.copy()
    assert copied.state == "SUCCESS"
    assert [node.get() for node in copied.children] == [3, 3]
    assert [node.get() for node in copied.children[0].children] == [13, 13]
    kept = ("task", "position", "run_when", "is_gather", "allow_failure", "child_count", "options", "result")
    assert list(NodeRun.objects.filter(run_id=copied.id).order_by("id").values_list(*kept)) == list(
        NodeRun.objects.filter(run_id=result.id).order_by("id").values_list(*kept)
    )
    own = {copied.id, *NodeRun.objects.filter(run_id=copied.id).values_list("id", flat=True)}
    assert {row.stop_scope_id for row in NodeRun.objects.filter(run_id=copied.id)} <= own
    assert (copied.run.name, copied.run.max_active, copied.run.on_failure) == ("sum", 5, "stop")


def test_nodes_that_task_functions_added_are_not_copied(eager):
    tree = TaskTree()
    tree.add_task(grow, [2, 2])
    result = tree.apply_async()
    copied = result.copy()
    assert copied.progress().by_state == result.progress().by_state


def test_a_run_without_a_definition_has_no_parameters():
    result = TaskTree().apply_async()
    with pytest.raises(NotPossible, match="not made by a definition"):
        result.copy(day=1)
    assert states(result.id) == {}
