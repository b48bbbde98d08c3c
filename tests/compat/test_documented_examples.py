"""The documented examples of celery-tasktree on real prefork workers; only their imports are changed."""

import pytest

from django_tasktree import TaskTree, join_tree, run_with_callbacks
from django_tasktree.models import NodeRun
from tests.patience import PATIENCE
from tests.sample import tasks
from tests.sample.tasks import MakeDirectory, Report, mkdir, report

pytestmark = pytest.mark.worker


def test_directories_are_created_in_order(stack, tmp_path):
    tree = TaskTree()
    task0 = tree.add_task(mkdir, args=[str(tmp_path / "d0")])
    task1 = tree.add_task(mkdir, args=[str(tmp_path / "d1")])
    task10 = task1.add_task(mkdir, args=[str(tmp_path / "d1" / "0")])
    task11 = task1.add_task(mkdir, args=[str(tmp_path / "d1" / "1")])
    task110 = task11.add_task(mkdir, args=[str(tmp_path / "d1" / "1" / "0")])
    async_result = tree.apply_async()
    assert async_result.wait(PATIENCE) == "SUCCESS"
    assert (tmp_path / "d1" / "1" / "0").is_dir()
    assert async_result.join() == [str(tmp_path / "d0"), str(tmp_path / "d1")]
    assert [async_result[node].get() for node in (task0, task10, task11, task110)]


def test_returned_objects_have_async_result(stack):
    tree = TaskTree()
    tree.add_task(report, args=["0"])
    task1 = tree.add_task(report, args=["1"])
    task1.add_task(report, args=["10"])
    task11 = task1.add_task(report, args=["11"])
    task11.add_task(report, args=["110"])
    async_result = tree.apply_async()
    task0_result, task1_result = async_result.join(PATIENCE)
    task10_result, task11_result = task1_result.async_result.join(PATIENCE)
    (task110_result,) = task11_result.async_result.join(PATIENCE)
    names = [r.name for r in (task0_result, task1_result, task10_result, task11_result, task110_result)]
    assert names == ["0", "1", "10", "11", "110"]
    assert isinstance(task0_result, Report)
    assert task0_result.async_result.join(PATIENCE) == []  # type: ignore[attr-defined]


def test_callback_inside_kwargs(stack, tmp_path):
    tree = TaskTree()
    node = tree.add_task(mkdir, kwargs={"path": str(tmp_path / "1"), "callback": mkdir.si(str(tmp_path / "1" / "2"))})
    node.add_task(mkdir, args=[str(tmp_path / "1" / "3")])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "SUCCESS"
    # As in celery-tasktree, callbacks come before added nodes.
    assert [child.get() for child in result[node].children] == [str(tmp_path / "1" / "2"), str(tmp_path / "1" / "3")]


def test_class_based_task(stack, tmp_path):
    tree = TaskTree()
    task0 = tree.add_task(MakeDirectory, args=[str(tmp_path / "0")])
    task01 = task0.add_task(MakeDirectory, kwargs={"path": str(tmp_path / "0" / "1")})
    result = tree.apply_async()
    assert result[task01].get(PATIENCE) == str(tmp_path / "0" / "1")
    assert result[task01].name == "tests.sample.tasks.MakeDirectory"


def test_push_and_pop(stack, tmp_path):
    path = str(tmp_path / "log")
    tree = TaskTree()
    tree.push(tasks.append, args=[path, "1"])
    tree.push(tasks.append, args=[path, "2"])
    tree.push(tasks.append, args=[path, "X"])
    popped = tree.pop()
    assert popped.args == (path, "X")
    tree.push(tasks.append, args=[path, "3"])
    assert tree.apply_and_join(timeout=PATIENCE) == ["1", "2", "3"]
    assert (tmp_path / "log").read_text() == "123"


def test_join_tree_follows_the_first_children(stack):
    tree = TaskTree()
    first = tree.add_task(tasks.echo, args=[1])
    tree.add_task(tasks.echo, args=["second root"])
    first.add_task(tasks.echo, args=[2])
    first.add_task(tasks.echo, args=["second child"])
    assert join_tree(tree.apply_async(), timeout=PATIENCE) == [1, 2]


def test_callback_outside_trees(stack):
    cb1 = report.subtask(args=("cb1",))
    cb2 = report.subtask(args=("cb2",))
    async_result = report.delay("main", callback=[cb1, cb2])
    main_result = async_result.wait(PATIENCE)
    cb1_result, cb2_result = main_result.async_result.join(PATIENCE)
    assert [main_result.name, cb1_result.name, cb2_result.name] == ["main", "cb1", "cb2"]


def test_a_single_callback_outside_trees(stack):
    result = tasks.echo.delay("main", callback=tasks.echo.si("after"))
    assert result.get(PATIENCE) == "main"
    assert result.async_result.join(PATIENCE) == ["after"]


def test_callback_of_a_direct_call(stack):
    value = report("here", callback=report.si("there"))
    assert value.name == "here"
    assert [r.name for r in value.async_result.join(PATIENCE)] == ["there"]


@pytest.mark.django_db(transaction=True)
def test_an_empty_tree():
    tree = TaskTree()
    result = tree.apply_async()
    assert result.join() == []
    assert tree.apply_and_join() == []
    assert result.state == "SUCCESS"
    assert not NodeRun.objects.exists()


def test_pop_from_an_empty_stack():
    tree = TaskTree()
    tree.push(tasks.echo)
    tree.pop()
    with pytest.raises(IndexError, match="empty stack"):
        tree.pop()


def test_run_with_callbacks_belongs_on_run():
    with pytest.raises((TypeError, RuntimeError)) as caught:

        class Wrong:
            @run_with_callbacks
            def run(self):
                pass

    # Before Python 3.12 what __set_name__ raises is the cause of a RuntimeError.
    error = caught.value if isinstance(caught.value, TypeError) else caught.value.__cause__
    assert "@run_with_callbacks belongs on the run method" in str(error)
