"""Every pair of states, of nodes and of runs: legal moves are made, illegal ones are refused."""

import pytest

from django_tasktree.engine.transitions import SqlMove, begin, move, nodes, runs
from django_tasktree.exceptions import InvalidTransition
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import INITIAL_STATES, NODE_TRANSITIONS, RUN_TRANSITIONS, NodeState, RunState
from tests.integration.engine.trees import insert_run, tree_of

PAIRS = [(source, target) for source in NodeState for target in NodeState]


def _node_in(state):
    """Return a queryset of one node in a state."""
    launched, _ = insert_run(tree_of([]))
    NodeRun.objects.filter(run_id=launched.run_id).update(state=state)
    return nodes().filter(run_id=launched.run_id)


def test_every_pair_of_node_states(database):
    for source, target in PAIRS:
        node = _node_in(source)
        if target in NODE_TRANSITIONS[source]:
            assert move(node, [source], target) == 1, (source, target)
            assert node.get().state == target
        else:
            with pytest.raises(InvalidTransition, match=f"{source} to {target}"):
                move(node, [source], target)
            assert node.get().state == source


def test_a_node_in_another_state_is_not_changed(database):
    for actual in NodeState:
        node = _node_in(actual)
        if actual != NodeState.QUEUED:
            assert move(node, [NodeState.QUEUED], NodeState.STARTED) == 0
            assert node.get().state == actual


def test_a_move_with_one_illegal_source_is_refused(database):
    node = _node_in(NodeState.QUEUED)
    with pytest.raises(InvalidTransition):
        move(node, [NodeState.QUEUED, NodeState.SUCCESS], NodeState.STARTED)
    assert node.get().state == NodeState.QUEUED


def test_every_pair_of_run_states(database):
    launched, _ = insert_run(tree_of([]))
    run = runs().filter(id=launched.run_id)
    for source in RunState:
        for target in RunState:
            run.update(state=source)
            if target in RUN_TRANSITIONS[source]:
                assert move(run, [source], target) == 1, (source, target)
                assert run.get().state == target
            else:
                with pytest.raises(InvalidTransition, match=f"no run moves from {source} to {target}"):
                    move(run, [source], target)
                assert run.get().state == source


@pytest.mark.parametrize(("row", "states"), [(NodeRun, NodeState), (TreeRun, RunState)])
def test_a_row_can_begin_only_in_an_initial_state(row, states):
    for state in states:
        if state in INITIAL_STATES[states]:
            one = row()
            begin(one, state)
            assert one.state == state
        else:
            with pytest.raises(InvalidTransition, match=f"begins as {state}"):
                begin(row(), state)


def test_a_move_in_sql_is_checked_when_it_is_created():
    for source, target in PAIRS:
        if target in NODE_TRANSITIONS[source]:
            assert SqlMove((source,), target).assignment() == f"state = '{target}'"
        else:
            for cases in ((target, ()), (None, (("1 = 1", target),))):
                with pytest.raises(InvalidTransition, match=f"{source} to {target}"):
                    SqlMove((source,), *cases)


def test_the_tables_name_every_state():
    assert set(NODE_TRANSITIONS) == set(NodeState)
    assert set(RUN_TRANSITIONS) == set(RunState)
