"""The result of a run: what its tree returns."""

import asyncio
from datetime import date
from itertools import count
from pathlib import Path

import pytest
from celery import chain, chord, group
from celery.result import allow_join_result

from django_tasktree import TaskTree, TreeResult, task_with_callbacks
from django_tasktree.client.run_value import stored_run_value
from django_tasktree.control.operations import enforce_deadline
from django_tasktree.encoding import times
from django_tasktree.exceptions import BrokenReference, NoResult, SerializationError, ValueTooLarge, WaitTimeout
from django_tasktree.models import NodeRun, TreeRun
from tests.sample.tasks import CustomError, add, echo, fail, grow, total

pytestmark = [pytest.mark.usefixtures("eager"), pytest.mark.django_db(transaction=True)]


def value_of(build):
    """Return the result of a tree, read in another process."""
    tree = TaskTree()
    tree.returns(build(tree))
    return TreeResult(tree.apply_async().id).value()


def test_the_output_of_a_node(database):
    assert value_of(lambda tree: tree.add_task(add, [1, 2]).output) == 3


def test_a_part_of_an_output():
    assert value_of(lambda tree: tree.add_task(echo, [{"a": [1, 2]}]).output["a"][1]) == 2


def test_outputs_anywhere_in_a_value():
    def build(tree):
        parts = [tree.add_task(echo, [number], label=str(number)) for number in range(3)]
        last = tree.gather(total, [tree.outputs])
        return {
            "all": tree.outputs,
            "total": last.output,
            "some": [parts[2].output, "text", None],
            "labels": labels(tree),
        }

    def labels(tree):
        return tree.outcomes[1]["label"]

    assert value_of(build) == {"all": [0, 1, 2], "total": 3, "some": [2, "text", None], "labels": "1"}


def test_a_value_without_outputs():
    assert value_of(lambda _tree: {"day": date(2026, 1, 31), "path": Path("a/b")}) == {
        "day": date(2026, 1, 31),
        "path": Path("a/b"),
    }


def test_rows_are_read_when_the_value_is(django_user_model):
    user = django_user_model.objects.create(username="jo")
    assert value_of(lambda tree: [tree.add_task(echo, [user]).output, user]) == [user, user]


def test_the_last_call_counts():
    tree = TaskTree()
    tree.returns(1)
    tree.returns(tree.add_task(echo, [2]).output)
    assert tree.apply_async().value() == 2


def test_without_blocking():
    tree = TaskTree()
    tree.returns(tree.add_task(echo, [2]).output)
    result = tree.apply_async()
    assert asyncio.run(result.avalue()) == 2


def test_nodes_that_were_added_while_it_ran():
    assert value_of(lambda tree: tree.add_task(grow, [2, 1]).subtree_outputs) == [1, 1]


def test_a_tree_that_returns_nothing():
    tree = TaskTree()
    tree.add_task(echo)
    with pytest.raises(NoResult, match=r"call returns\(\) of its tree"):
        tree.apply_async().value()


def test_a_failure_is_raised():
    tree = TaskTree()
    first = tree.add_task(echo, [1])
    tree.add_task(fail, ["may fail"], allow_failure=True)
    tree.add_task(fail, ["the cause"])
    tree.returns(first.output)
    with pytest.raises(CustomError, match="the cause"):
        tree.apply_async().value()


def test_a_run_that_was_revoked():
    tree = TaskTree()
    tree.returns(tree.add_task(echo).output)
    result = tree.apply_async(draft=True)
    with pytest.raises(WaitTimeout):
        result.value(timeout=0)
    result.revoke()
    with pytest.raises(NoResult, match="its state is REVOKED"):
        result.value()


def test_a_run_that_missed_its_deadline():
    tree = TaskTree()
    tree.returns(tree.add_task(echo).output)
    result = tree.apply_async(draft=True, deadline=times.now())
    enforce_deadline(result.id)
    with pytest.raises(NoResult, match=r"its state is FAILURE: .*deadline"):
        result.value()


def test_a_node_that_was_skipped():
    tree = TaskTree()
    tree.returns(tree.add_task(echo).add_task(echo, run_when="failure").output)
    result = tree.apply_async()
    with pytest.raises(BrokenReference, match="its state is SKIPPED"):
        result.value()
    assert "tasktree-output" in str(stored_run_value(result.run))


def test_a_result_that_may_not_be_waited_for_in_a_task():
    tree = TaskTree()
    tree.returns(tree.add_task(echo).output)

    @task_with_callbacks(name="tests.waits_for_value")
    def waits(run_id):
        return TreeResult(run_id).value()

    with pytest.raises(RuntimeError, match="within a task"):
        waits.apply_async([str(tree.apply_async().id)]).get()


@pytest.mark.parametrize("kind", ["another tree", "a node that was removed"])
def test_an_output_of_a_node_outside(kind):
    tree, other = TaskTree("shop"), TaskTree()
    node = (other if kind == "another tree" else tree).push(echo)
    tree.returns([node.output])
    if kind != "another tree":
        tree.pop()
    with pytest.raises(BrokenReference, match=r"the result of the tree contains output of .*echo.*, which is not in"):
        tree.apply_async()
    assert NodeRun.objects.count() == 0


def test_what_can_not_be_stored():
    tree = TaskTree()
    tree.returns({"x": object()})
    with pytest.raises(SerializationError, match="the result of the tree can't be stored"):
        tree.apply_async()


def test_copies_have_their_own_results():
    tree = TaskTree()
    node = tree.add_task(echo, [[1, 2]])
    tree.returns([node.output[1], tree.outputs])
    result = tree.apply_async()
    assert result.copy().value() == [2, [[1, 2]]]
    assert NodeRun.objects.count() == 2


def test_a_rerun_changes_the_result():
    numbers = count()

    @task_with_callbacks(name="tests.next_number")
    def next_number():
        return next(numbers)

    tree = TaskTree()
    node = tree.add_task(next_number)
    tree.returns(node.output)
    result = tree.apply_async()
    assert result.value() == 0
    result[node].rerun()
    assert result.value() == 1


@pytest.mark.parametrize(
    "canvas",
    [
        echo.s(1),
        chain(add.s(1, 2), add.s(3)),
        group(echo.s(1), echo.s(2)),
        group(echo.s(1)),
        group([]),
        chord([echo.s(1), echo.s(2)], total.s()),
        chain(echo.s(1), group(add.s(1), add.s(2))),
        chain(group(echo.s(1), echo.s(2)), total.s(), group(add.s(1), chain(add.s(2), add.s(3)))),
        chord([echo.s(1), chain(echo.s(2), add.s(1))], chain(total.s(), echo.s())),
        add.chunks([(1, 2), (3, 4), (5, 6)], 2).group(),
        add.starmap([(1, 2), (3, 4)]),
        echo.map([1, 2, 3]),
        group(group(echo.s(1), echo.s(2)), echo.s(3)),
    ],
    ids=repr,
)
def test_a_canvas_has_the_result_that_it_has_in_celery(canvas):
    value = TaskTree.from_canvas(canvas).apply_async().value()
    with allow_join_result():
        assert canvas.apply_async().get() == value


def test_a_canvas_whose_result_is_too_large_has_none(settings):
    settings.TASKTREE = {"MAX_ARGS_SIZE": 150}
    tree = TaskTree.from_canvas(group(chain(echo.s(1), echo.s()), echo.s(2)))
    with pytest.raises(NoResult):
        tree.apply_async().value()
    tree.returns("x" * 150)
    with pytest.raises(ValueTooLarge, match="the result of the tree"):
        tree.apply_async()


# Where people see it


def test_the_stored_form_creates_no_objects(database):
    tree = TaskTree()
    node = tree.add_task(echo, [date(2026, 1, 31)])
    tree.returns([node.output, Path("a")])
    stored = str(stored_run_value(tree.apply_async().run))
    assert "2026-01-31" in stored
    assert "tasktree-path" in stored


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('{"__type__": "shop.price", "__value__": 3}', '{"__type__": "shop.price", "__value__": 3}'),
        ("[" * 100_000 + "]" * 100_000, None),
        ("pickle:gASVBQ", None),
    ],
    ids=["unknown type", "nested too deep", "pickled"],
)
def test_results_that_this_process_can_not_read(stored, shown):
    tree = TaskTree()
    tree.returns(tree.add_task(echo).output)
    result = tree.apply_async()
    NodeRun.objects.filter(run_id=result.id).update(result=stored)
    assert stored_run_value(result.run) == shown
    TreeRun.objects.filter(id=result.id).update(returns=stored)
    assert stored_run_value(result.run) == shown


def test_many_single_results_are_not_read(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("django_tasktree.client.run_value._MAX_SHOWN", 3)
    tree = TaskTree()
    tree.returns([tree.add_task(echo, [number]).output for number in range(4)])
    run = tree.apply_async().run
    with django_assert_num_queries(0):
        assert stored_run_value(run) == run.returns


def test_many_results_are_not_read(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("django_tasktree.client.run_value._MAX_SHOWN", 3)
    tree = TaskTree()
    top = tree.add_task(echo)
    for number in range(4):
        top.add_task(echo, [number])
    tree.returns([top.outputs, tree.outputs])
    result = tree.apply_async()
    assert result.value() == [[0, 1, 2, 3], [None]]
    run = result.run
    with django_assert_num_queries(2):
        assert stored_run_value(run) == run.returns


def test_a_run_without_a_result_costs_no_query(django_assert_num_queries):
    run = TaskTree().apply_async().run
    with django_assert_num_queries(0):
        assert stored_run_value(run) is None
