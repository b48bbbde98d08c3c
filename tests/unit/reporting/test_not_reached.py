"""Each display of states uses the same rule for nodes that were not reached."""

import pytest

from django_tasktree.admin.rendering import node_badge
from django_tasktree.admin.tree.search import NOT_REACHED, TreeSearch, states_to_choose
from django_tasktree.encoding import times
from django_tasktree.management.display.header import counts
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_counts import Counts
from django_tasktree.reporting.not_reached import is_not_reached
from django_tasktree.reporting.progress import Progress
from django_tasktree.reporting.progress_bar import segments
from django_tasktree.states import NodeState, RunState


def test_only_pending_nodes_of_ended_runs_were_not_reached():
    found = {(node, run) for node in NodeState for run in RunState if is_not_reached(node, run)}
    assert found == {(NodeState.PENDING, run) for run in (RunState.SUCCESS, RunState.FAILURE, RunState.REVOKED)}


@pytest.mark.parametrize("node_state", NodeState)
@pytest.mark.parametrize("run_state", RunState)
def test_each_display_uses_the_rule(node_state, run_state):
    expected = is_not_reached(node_state, run_state)
    run = TreeRun(state=run_state)
    assert ("tasktree-state-unreached" in node_badge(NodeRun(state=node_state), run)) is expected
    progress = Progress.of(run_state, Counts({node_state: 1}, times.now()))
    assert ("not reached" in counts(progress).plain) is expected
    skipped = next(part for part in segments(progress) if part["name"] == "skipped")
    assert (skipped["width"] == 100) is (expected or node_state == NodeState.SKIPPED)


@pytest.mark.parametrize("run_state", RunState)
def test_the_search_finds_such_nodes_only_after_the_end(run_state):
    run = TreeRun(state=run_state)
    expected = is_not_reached(NodeState.PENDING, run_state)
    assert (NOT_REACHED in states_to_choose(run)) is expected
    condition = TreeSearch(state=NOT_REACHED).condition(run)
    assert (("state__in", [NodeState.PENDING]) in condition.children) is expected
