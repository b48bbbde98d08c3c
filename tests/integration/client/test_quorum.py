"""Gather nodes that start when enough of their siblings have succeeded."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.exceptions import BrokenReference, InvalidOption
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo, fail, grow, ignore

pytestmark = [pytest.mark.usefixtures("database", "eager"), pytest.mark.django_db(transaction=True)]


def gathered(tasks, when, **rules):
    """Run tasks under one parent, with a gather node; return its handle."""
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    for number, task in enumerate(tasks):
        top.add_task(task, [number], allow_failure=True)
    node = top.gather(echo, [top.outputs], when=when, **rules)
    return tree.apply_async()[node]


@pytest.mark.parametrize("when", ["any", 1, 2, "75%", "60%", "all", 3])
def test_it_gets_the_results_that_there_are(when):
    # Eager nodes run in the order in which they were queued: all siblings before the gather node.
    assert gathered([echo, fail, echo, echo], when).get() == [0, 2, 3]


@pytest.mark.parametrize(("when", "state"), [(3, "SKIPPED"), ("100%", "SKIPPED"), (2, "SUCCESS"), (9, "SKIPPED")])
def test_too_few_succeed(when, state):
    assert gathered([echo, fail, echo, fail], when).state == state


def test_run_when_decides_if_no_longer_enough_can():
    node = gathered([fail, echo, echo], 3, run_when="failure")
    assert node.get() == [1, 2]
    assert gathered([echo, echo, echo], 3, run_when="failure").state == "SKIPPED"
    assert gathered([fail, echo, echo], 3, run_when="always").get() == [1, 2]


def test_skipped_siblings_have_not_succeeded():
    tree = TaskTree()
    tree.add_task(ignore)
    node = tree.gather(echo, when="any")
    run = tree.apply_async()
    assert (run.state, run[node].state) == ("SUCCESS", "SKIPPED")


def test_what_is_below_a_sibling_counts():
    tree = TaskTree()
    tree.add_task(echo, ["bad"]).add_task(fail)
    tree.add_task(echo, ["good"]).add_task(grow, [1, 2])
    node = tree.gather(echo, [tree.outputs], when="any")
    run = tree.apply_async()
    assert run[node].get() == ["bad", "good"]
    assert run.state == "FAILURE"


def test_root_nodes():
    tree = TaskTree()
    for number in range(3):
        tree.add_task(echo, [number])
    first = tree.gather(echo, [tree.outputs], when="any")
    last = tree.gather(echo, [tree.outputs])
    run = tree.apply_async()
    assert (run[first].get(), run[last].get(), run.state) == ([0, 1, 2], [0, 1, 2], "SUCCESS")


def test_without_siblings():
    tree = TaskTree()
    tree.gather(echo, when="any")
    never = tree.gather(echo, ["none"], when="any", run_when="failure")
    run = tree.apply_async()
    assert run.state == "SUCCESS"
    assert run[never].get() == "none"


def test_after_a_failed_parent():
    tree = TaskTree()
    top = tree.add_task(fail)
    top.add_task(echo, ["handler"], run_when="failure")
    good = top.gather(echo, ["good"], when="any")
    bad = top.gather(echo, ["bad"], when="any", run_when="failure")
    run = tree.apply_async()
    assert (run[good].state, run[bad].state) == ("SKIPPED", "SUCCESS")


def test_of_a_map():
    tree = TaskTree()
    pages = tree.map(echo, over=range(10))
    half = pages.gather(echo, [pages.outputs], when="50%")
    assert tree.apply_async()[half].get() == list(range(10))


def test_a_rerun_of_a_sibling_runs_it_again():
    node = gathered([echo, echo], "any")
    sibling = node.parent.children[1]
    sibling.rerun()
    assert node.state == "SUCCESS"
    assert NodeRun.objects.get(id=node.id).attempts == 2


def test_a_copy_keeps_it():
    tree = TaskTree()
    tree.add_task(echo)
    tree.add_task(echo)
    tree.gather(echo, when="75%")
    run = tree.apply_async()
    assert NodeRun.objects.get(run_id=run.copy().id, is_gather=True).quorum == "75%"


def test_results_of_siblings_are_not_certain():
    tree = TaskTree()
    sibling = tree.add_task(echo)
    tree.gather(echo, [sibling.output], when="any")
    with pytest.raises(BrokenReference, match="may not have finished"):
        tree.apply_async()


def test_spaces_in_a_share():
    assert gathered([echo, echo], f" 50{' ' * 20}% ").get() == [0, 1]


@pytest.mark.parametrize("when", ["some", 0, -1, True, 0.5, "0%", "101%", "", None])
def test_invalid_values(when):
    with pytest.raises(InvalidOption, match="when="):
        TaskTree().gather(echo, when=when)
