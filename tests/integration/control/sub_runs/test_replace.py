"""``self.replace()`` in a node: the result of a canvas becomes that of the node."""

import pytest
from celery import Task, chain, chord, group

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidOption, UnsupportedCanvas
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from django_tasktree.testing import run_tree
from tests.integration.control.sub_runs.runs import sub_run_of
from tests.sample.models import Effect
from tests.sample.sub_run_tasks import (
    grown_and_replaced,
    replaced,
    replaced_again,
    replaced_at_last,
    replaced_atomically,
    replaced_in_vain,
)
from tests.sample.tasks import CustomError, add, echo, fail, total

CANVASES = {
    "task": (add.s(1, 2), 3),
    "immutable": (add.si(1, 2), 3),
    "chain": (chain(add.s(1, 2), add.s(10)), 13),
    "group": (group(add.s(1, 2), add.s(3, 4)), [3, 7]),
    "chord": (chord([add.s(1, 2), add.s(3, 4)], total.s()), 10),
    "chain with groups": (chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s(), add.s(1)), 8),
    "group of chains": (group(chain(add.s(1, 1), add.s(2)), echo.s("b")), [4, "b"]),
    "nested": (replaced.s(dict(replaced.s(dict(add.s(4, 5))))), 9),
    "member": (chord([replaced.s(dict(add.s(1, 2))), add.s(3, 4)], total.s()), 10),
}


def tree_of(signature, task=replaced, *args):
    tree = TaskTree("outer")
    node = tree.add_task(task, [dict(signature), *args], label="node")
    node.add_task(echo, [node.output], label="after")
    return tree


@pytest.mark.parametrize("name", CANVASES)
def test_the_result_becomes_that_of_the_node(world, name):
    signature, expected = CANVASES[name]
    run = tree_of(signature).apply_async()
    world.deliver_all("w")
    assert (run.state, run["node"].get(), run["node/after"].get()) == ("SUCCESS", expected, expected)
    assert sub_run_of(run["node"]).state == "SUCCESS"


@pytest.mark.parametrize("name", CANVASES)
def test_in_eager_mode(db, name):
    signature, expected = CANVASES[name]
    run = run_tree(tree_of(signature))
    assert (run.state, run["node"].get(), run["node/after"].get()) == ("SUCCESS", expected, expected)


def test_the_error_is_that_of_the_task_that_failed(world):
    run = tree_of(chain(add.s(1, 2), fail.si("it broke"))).apply_async()
    world.deliver_all("w")
    with pytest.raises(CustomError, match="it broke"):
        run["node"].get()
    row = NodeRun.objects.get(id=run["node"].id)
    assert f"of run {sub_run_of(run['node']).id}" in row.traceback
    assert run.state == "FAILURE"


def test_what_can_not_be_imported_fails_the_node(world):
    run = tree_of(chain(add.s(1, 2)).set(task_id="x")).apply_async()
    world.deliver_all("w")
    with pytest.raises(UnsupportedCanvas, match="'task_id'"):
        run["node"].get()
    assert TreeRun.objects.count() == 1


def test_the_run_is_named_after_the_node(world):
    tree = TaskTree("outer")
    load = tree.add_task(echo, label="load")
    load.add_task(replaced, [dict(add.s(1, 2))])
    load.add_task(replaced, [dict(add.s(1, 2))], label="check")
    tree.add_task(replaced, [dict(add.s(1, 2))])
    run = tree.apply_async()
    world.deliver_all("w")
    nodes = [run["load/0"], run["load/check"], run.children[1]]
    assert [sub_run_of(node).run.name for node in nodes] == ["load/0", "load/check", "replaced"]


def test_an_atomic_task_writes_and_is_replaced_in_one_transaction(world):
    run = tree_of(add.s(1, 2), replaced_atomically, "written").apply_async()
    world.deliver_all("w")
    assert run["node"].get() == 3
    assert [effect.note for effect in Effect.objects.all()] == ["written"]


def test_if_the_run_can_not_be_started_an_atomic_task_writes_nothing(world, settings):
    settings.TASKTREE = {"MAX_ARGS_SIZE": 150}
    run = tree_of(add.s(1, 2), replaced_atomically, "written").apply_async()
    settings.TASKTREE = {"MAX_ARGS_SIZE": 20}
    world.deliver_all("w")
    assert run.state == "FAILURE"
    assert not Effect.objects.exists()
    assert TreeRun.objects.count() == 1


def test_after_a_retry(world):
    run = tree_of(add.s(1, 2), replaced_at_last).apply_async()
    world.deliver_all("w")
    assert run["node"].get() == 3
    row = NodeRun.objects.get(id=run["node"].id)
    assert (row.attempts, row.retries) == (2, 1)
    assert list(NodeAttempt.objects.filter(node=row.id).values_list("outcome", flat=True)) == ["RETRY"]


def test_a_task_that_takes_its_own_place(db):
    tree = TaskTree()
    tree.add_task(replaced_again, [5], label="node")
    assert run_tree(tree)["node"].get() == "the end"
    assert TreeRun.objects.count() == 6


def test_nodes_and_a_replacement_exclude_each_other(db):
    run = run_tree(tree_of(add.s(1, 2), grown_and_replaced))
    with pytest.raises(InvalidOption, match="can't both add nodes"):
        run["node"].get()


def test_a_task_function_may_catch_the_exception(db):
    run = run_tree(tree_of(add.s(1, 2), replaced_in_vain))
    assert run["node"].get() == "stayed"
    assert TreeRun.objects.count() == 1


def test_outside_trees_it_is_the_method_of_celery(eager, monkeypatch):
    monkeypatch.setattr(Task, "replace", lambda _self, signature: ("replaced", list(signature.args)))
    assert replaced.delay(dict(add.s(1, 2))).get() == ("replaced", [1, 2])
