"""Every pair of node states: the legal moves happen, the illegal ones are refused."""

import pytest

from django_tasktree.engine.moves import move, nodes
from django_tasktree.exceptions import IllegalMove
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_MOVES, NodeState
from tests.integration.engine.trees import persist, tree_of

PAIRS = [(source, target) for source in NodeState for target in NodeState]


def _node_in(state):
    launched, _ = persist(tree_of([]))
    NodeRun.objects.filter(run_id=launched.run_id).update(state=state)
    return nodes().filter(run_id=launched.run_id)


def test_every_pair(database):
    for source, target in PAIRS:
        node = _node_in(source)
        if target in NODE_MOVES[source]:
            assert move(node, [source], target) == 1, (source, target)
            assert node.get().state == target
        else:
            with pytest.raises(IllegalMove, match=f"{source} to {target}"):
                move(node, [source], target)
            assert node.get().state == source


def test_a_node_in_another_state_stays(database):
    for actual in NodeState:
        node = _node_in(actual)
        if actual != NodeState.QUEUED:
            assert move(node, [NodeState.QUEUED], NodeState.STARTED) == 0
            assert node.get().state == actual


def test_one_illegal_source_spoils_the_move(database):
    node = _node_in(NodeState.QUEUED)
    with pytest.raises(IllegalMove):
        move(node, [NodeState.QUEUED, NodeState.SUCCESS], NodeState.STARTED)
    assert node.get().state == NodeState.QUEUED


def test_the_table_names_every_state():
    assert set(NODE_MOVES) == set(NodeState)
