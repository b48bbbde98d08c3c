"""Nodes that start a run of a definition, on real workers."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.exceptions import SubRunFailed
from django_tasktree.models import NodeRun
from django_tasktree.testing import registered
from tests.patience import PATIENCE, until
from tests.sample.sub_run_tasks import report
from tests.sample.tasks import add, echo
from tests.sample.worker_trees import fragile, lasting

pytestmark = [pytest.mark.worker, pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)]


@pytest.fixture(autouse=True)
def definitions():
    """Register the definitions here, too: add_run() checks their parameters."""
    with registered(report, fragile, lasting):
        yield


def test_results_and_failures_go_up(stack, tmp_path):
    """The process that runs a task of one of the sub-runs is killed meanwhile."""
    marker = str(tmp_path / "marker")
    tree = TaskTree()
    day = tree.add_task(echo, [7], label="day")
    day.add_run("report", {"day": day.output}, label="good")
    day.add_run("report", {"day": day.output, "fails": True}, label="bad").add_task(echo, ["sorry"], run_when="failure")
    killed = day.add_run("fragile", {"marker": marker}, label="killed")
    killed.add_task(add, [killed.output, " it"], label="after")
    run = tree.apply_async()
    assert run.wait(PATIENCE) == "FAILURE"
    assert run["day/good"].get() == {"total": 108}
    with pytest.raises(SubRunFailed, match=r"\(report\) has failed at node .*\(bad\).*it broke"):
        run["day/bad"].get()
    assert run["day/bad/0"].get() == "sorry"
    assert run["day/killed/after"].get() == "survived it"
    sub_run = run["day/killed"].sub_run
    assert sub_run is not None
    assert (sub_run.state, sub_run.children[0].node.attempts) == ("SUCCESS", 2)
    assert run["day/killed"].node.attempts == 1


def test_a_revocation_goes_down(stack):
    tree = TaskTree()
    tree.add_run("lasting", label="lasting")
    run = tree.apply_async()
    until(lambda: NodeRun.objects.filter(label="sleep", state="STARTED").exists())
    sub_run = run["lasting"].sub_run
    assert sub_run is not None
    run.revoke(terminate=True)
    assert (run.state, run["lasting"].state, sub_run.state) == ("REVOKED", "REVOKED", "REVOKED")
    assert sub_run["sleep/below"].state == "REVOKED"
    until(lambda: sub_run["/sleep"].state == "REVOKED")
