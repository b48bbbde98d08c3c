"""The scopes of stops and limits are the same for nodes of a tree, of a task function and of an action."""

from itertools import product

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.control.add import place_in
from django_tasktree.engine.scopes import place_below, place_in_run
from django_tasktree.engine.types import NodeRef
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.engine.trees import insert_run
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db

STOPS = ("continue", "stop", "terminate")
LIMITS = (None, 2)


@pytest.mark.parametrize(("run_stop", "run_limit", "stop", "limit"), [*product(STOPS, LIMITS, STOPS, LIMITS)])
def test_a_node_that_is_added_has_the_scopes_of_its_siblings(run_stop, run_limit, stop, limit):
    tree = TaskTree(on_failure=run_stop, max_active=run_limit)
    parent = tree.add_task(echo, on_failure=stop, max_active=limit)
    child = parent.add_task(echo)
    launched, keys = insert_run(tree)
    run = TreeRun.objects.get(id=launched.run_id)
    above, below = (NodeRun.objects.get(id=keys[node]) for node in (parent, child))
    by_action, by_task_function = place_in(run, above.id), place_below(NodeRef.of(above), 1)
    assert by_action == by_task_function == place_below(above, 1)
    assert (by_task_function.stop_scope_id, by_task_function.limit_scope_id) == (
        below.stop_scope_id,
        below.limit_scope_id,
    )
    assert below.stop_scope_id == (run.id if run_stop != "continue" else above.id if stop != "continue" else None)
    assert below.limit_scope_id == (above.id if limit else run.id if run_limit else None)
    place = place_in_run(run.id, run.on_failure, run.max_active, 1)
    assert place_in(run, None) == place
    assert above.limit_scope_id == place.limit_scope_id == (run.id if run_limit else None)
    assert place.stop_scope_id == (run.id if run_stop != "continue" else None)
