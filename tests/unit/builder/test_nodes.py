"""Building trees: plain Python, validated immediately."""

from typing import Any

import pytest
from celery import Task, chain, group, shared_task
from kombu import Queue

from django_tasktree import TaskTree
from django_tasktree.definitions.registry import Registry
from django_tasktree.exceptions import InvalidOption, TaskNotSupported, UnknownTask
from tests.sample import tasks
from tests.sample.tasks import MakeDirectory, add, echo


@pytest.mark.parametrize("task", [echo, echo.name, echo.s(), MakeDirectory, MakeDirectory.tasktree_registered])  # type: ignore[attr-defined]
def test_a_task_is_accepted_in_each_form(task):
    args = ["path"] if isinstance(task, type) else []
    node = TaskTree().add_task(task, args)
    assert node.task in (echo.name, "tests.sample.tasks.MakeDirectory")


def test_args_kwargs_and_options_of_a_signature_are_kept():
    node = TaskTree().add_task(add.s(1).set(priority=3, queue="slow"), [2], priority=5)
    assert (node.args, node.kwargs, node.options) == ((1, 2), {}, {"priority": 5, "queue": "slow"})
    assert TaskTree().add_task(add.s(1, y=2)).kwargs == {"y": 2}


def undecorated(): ...


@pytest.mark.parametrize(
    "given", [echo.delay, echo.apply_async, echo.s, lambda: echo(1), lambda: echo({"a": 1}), lambda: echo(None)]
)
def test_the_result_of_a_call_is_not_a_task(given):
    given = given() if given.__name__ == "<lambda>" else given
    with pytest.raises(TaskNotSupported, match="pass the task itself, without calling it, and its arguments in args="):
        TaskTree().add_task(given)


@pytest.mark.parametrize("name", ["echo", "ecko", "nowhere.echo", "tests.sample.tasks.ecko"])
def test_a_task_of_another_module_is_suggested(name):
    with pytest.raises(UnknownTask, match=r"did you mean .*'tests\.sample\.tasks\.echo'"):
        TaskTree().add_task(name)


def test_an_argument_passed_as_an_option():
    with pytest.raises(InvalidOption, match=r"task 'tests\.sample\.tasks\.echo' has a parameter .* args= or kwargs="):
        TaskTree().add_task(echo, value="x")  # type: ignore[call-arg]
    with pytest.raises(InvalidOption, match="did you mean 'queue'"):
        TaskTree().add_task(echo, queu="x")  # type: ignore[call-arg]


def test_the_callers_arguments_are_never_mutated():
    args, kwargs = [1], {"callback": echo.s(2)}
    node = TaskTree().add_task(echo, args, kwargs)
    assert (args, list(kwargs)) == ([1], ["callback"])
    assert len(node.children) == 1
    assert node.kwargs == {}


def test_a_callback_that_is_not_a_signature_is_an_argument():
    assert TaskTree().add_task(tasks.takes_callback, kwargs={"callback": "word"}).kwargs == {"callback": "word"}


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_an_empty_callback_is_ignored(nothing):
    node = TaskTree().add_task(echo, kwargs={"callback": nothing})
    assert (node.kwargs, node.children) == ({}, [])


def test_children_and_parent():
    tree = TaskTree()
    node = tree.add_task(echo)
    child = node.add_task(echo)
    assert (tree.children, node.children, node.parent, child.parent) == ([node], [child], tree, node)


def test_push_descends_and_pop_returns_to_the_parent():
    tree = TaskTree()
    first, second = tree.push(echo), tree.push(echo)
    assert second.parent is first
    assert tree.pop() is second
    assert (second.parent, first.children) == (None, [])  # type: ignore[comparison-overlap]
    assert tree.push(echo).parent is first
    inner = first.push(echo)
    assert inner.parent is first
    assert first.pop() is inner


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "no option 'colour'"),
        ({"prioritty": 1}, "did you mean 'priority'"),
        ({"link": echo.s()}, "add the task as a child of the node"),
        ({"eta": "2030-01-01", "countdown": 1}, "not both"),
        ({"run_when": "sometimes"}, "'success', 'failure', 'always'"),
        ({"run_when": "failure"}, "never fits a root node"),
    ],
)
def test_a_wrong_option_raises_immediately(options, message):
    tree = TaskTree()
    with pytest.raises(InvalidOption, match=message):
        tree.add_task(echo, **options)
    assert tree.children == []


def test_arguments_that_do_not_match_raise_immediately():
    with pytest.raises(TypeError, match=r"tests\.sample\.tasks\.add.*missing 1 required positional argument"):
        TaskTree().add_task(add, [1])
    with pytest.raises(TypeError, match="must be a list or tuple"):
        TaskTree().add_task(echo, "text")


def test_a_queue_object_is_stored_by_its_name():
    assert TaskTree().add_task(echo, queue=Queue("slow")).options == {"queue": "slow"}


def test_objects_that_are_not_tasks_are_refused():
    with pytest.raises(TaskNotSupported, match="task_with_callbacks"):
        TaskTree().add_task(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(
        TaskNotSupported, match=r"canvas of several tasks \(chain\): convert it with TaskTree\.from_canvas"
    ):
        TaskTree().add_task(chain(echo.s(), echo.s()))
    with pytest.raises(
        TaskNotSupported, match=r"canvas of several tasks \(group\): convert it with TaskTree\.from_canvas"
    ):
        TaskTree().add_task(group(echo.s(), echo.s()))
    other = TaskTree()
    for part in (other, other.add_task(echo)):
        with pytest.raises(TaskNotSupported, match=r"is a tree or a node, not a task: add a tree with add_tree\(\)"):
            TaskTree().add_task(part)  # type: ignore[arg-type]
    with pytest.raises(TaskNotSupported, match="is a tree definition, not a task: call it"):
        TaskTree().add_task(Registry().add(lambda: TaskTree(), "definition"))  # type: ignore[arg-type]
    with pytest.raises(TaskNotSupported, match=r"the function .*undecorated is not a Celery task: decorate it"):
        TaskTree().add_task(undecorated)  # type: ignore[arg-type]
    with pytest.raises(UnknownTask, match=r"did you mean 'tests\.sample\.tasks\.echo'"):
        TaskTree().add_task("tests.sample.tasks.ecko")


def test_a_class_that_is_not_registered_is_refused():
    class Unregistered(Task):
        name = "tests.unregistered"

        def run(self):
            pass

    with pytest.raises(UnknownTask, match=r"tests\.unregistered"):
        TaskTree().add_task(Unregistered)


def test_the_refusal_of_a_foreign_task_names_the_remedy():
    @shared_task(name="tests.unit.foreign")
    def foreign():
        pass

    with pytest.raises(TaskNotSupported, match=r"base=CallbackTask.*task_cls"):
        TaskTree().add_task(foreign)


def test_repr_of_a_node():
    tree = TaskTree("nightly")
    node = tree.gather(echo, run_when="always")
    assert repr(node) == "<TaskTreeNode gather tests.sample.tasks.echo when always, children: 0>"
    assert repr(tree) == "<TaskTree 'nightly', root nodes: 1>"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("retry", r"no option 'retry'\. The options are"),
        ("priorty", r"no option 'priorty'; did you mean 'priority'\? The options are"),
        (
            "run_wehn",
            r"did you mean 'run_when'\? The options are allow_failure, .*max_active, .*on_failure, .*run_when, ",
        ),
        ("allow_fail", r"did you mean 'allow_failure'\?"),
        ("on_fail", r"did you mean 'on_failure'\?"),
        ("max_activ", r"did you mean 'max_active'\?"),
    ],
)
def test_an_unknown_option_raises_a_readable_error(option, message):
    with pytest.raises(InvalidOption, match=message):
        TaskTree().add_task(echo, **dict[str, Any]({option: 1}))


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (0, "give a whole number of at least 1"),
        ("5", "give a whole number of at least 1"),
        (2**31, "is too large: at most 2,147,483,647"),
    ],
)
def test_invalid_limits_are_refused(limit, reason):
    for make in (lambda: TaskTree(max_active=limit), lambda: TaskTree().add_task(echo, max_active=limit)):
        with pytest.raises(InvalidOption, match=reason):
            make()


@pytest.mark.parametrize("given", [5, "value=1", [("value", 1)]], ids=repr)
def test_kwargs_that_are_no_dict_are_refused(given):
    with pytest.raises(TypeError, match=r"kwargs must be a dict of keyword arguments, not"):
        TaskTree().add_task(echo, kwargs=given)


def test_the_dict_of_a_signature_may_have_only_the_task():
    assert TaskTree().add_task({"task": echo.name}).task == echo.name  # type: ignore[arg-type]
    with pytest.raises(UnknownTask, match=r"no task is registered as 'tests\.nope'"):
        TaskTree().add_task({"task": "tests.nope"})  # type: ignore[arg-type]
