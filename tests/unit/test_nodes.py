"""Building trees: plain Python, checked at once."""

import pytest
from celery import Task, chain, group, shared_task
from kombu import Queue

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidOption, NotACitizen, UnknownTask
from django_tasktree.registry import Registry
from tests.sample import tasks
from tests.sample.tasks import MakeDirectory, add, echo


@pytest.mark.parametrize("task", [echo, echo.name, echo.s(), MakeDirectory, MakeDirectory.tasktree_registered])
def test_a_task_may_be_named_in_many_ways(task):
    args = ["path"] if isinstance(task, type) else []
    node = TaskTree().add_task(task, args)
    assert node.task in (echo.name, "tests.sample.tasks.MakeDirectory")


def test_a_signatures_args_kwargs_and_options_are_taken():
    node = TaskTree().add_task(add.s(1).set(priority=3, queue="slow"), [2], priority=5)
    assert (node.args, node.kwargs, node.options) == ((1, 2), {}, {"priority": 5, "queue": "slow"})
    assert TaskTree().add_task(add.s(1, y=2)).kwargs == {"y": 2}


def test_the_callers_arguments_are_never_mutated():
    args, kwargs = [1], {"callback": echo.s(2)}
    node = TaskTree().add_task(echo, args, kwargs)
    assert (args, list(kwargs)) == ([1], ["callback"])
    assert len(node.children) == 1
    assert node.kwargs == {}


def test_a_callback_that_is_no_signature_is_an_argument():
    assert TaskTree().add_task(tasks.takes_callback, kwargs={"callback": "word"}).kwargs == {"callback": "word"}


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_callback(nothing):
    node = TaskTree().add_task(echo, kwargs={"callback": nothing})
    assert (node.kwargs, node.children) == ({}, [])


def test_children_and_parent():
    tree = TaskTree()
    node = tree.add_task(echo)
    child = node.add_task(echo)
    assert (tree.children, node.children, node.parent, child.parent) == ([node], [child], tree, node)


def test_push_goes_deeper_and_pop_comes_back():
    tree = TaskTree()
    first, second = tree.push(echo), tree.push(echo)
    assert second.parent is first
    assert tree.pop() is second
    assert (second.parent, first.children) == (None, [])
    assert tree.push(echo).parent is first
    inner = first.push(echo)
    assert inner.parent is first
    assert first.pop() is inner


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"colour": "red"}, "no option 'colour'"),
        ({"prioritty": 1}, "did you mean 'priority'"),
        ({"link": echo.s()}, "add the task to the node instead"),
        ({"eta": "2030-01-01", "countdown": 1}, "not both"),
        ({"run_when": "sometimes"}, "'success', 'failure', 'always'"),
        ({"run_when": "failure"}, "never fits a root node"),
    ],
)
def test_a_wrong_option_is_an_error_at_once(options, told):
    tree = TaskTree()
    with pytest.raises(InvalidOption, match=told):
        tree.add_task(echo, **options)
    assert tree.children == []


def test_arguments_that_do_not_fit_are_an_error_at_once():
    with pytest.raises(TypeError, match=r"tests\.sample\.tasks\.add.*missing 1 required positional argument"):
        TaskTree().add_task(add, [1])
    with pytest.raises(TypeError, match="must be a list or tuple"):
        TaskTree().add_task(echo, "text")


def test_a_queue_object_gives_its_name():
    assert TaskTree().add_task(echo, queue=Queue("slow")).options == {"queue": "slow"}


def test_what_is_no_task_is_refused():
    with pytest.raises(NotACitizen, match="task_with_callbacks"):
        TaskTree().add_task(lambda: None)
    with pytest.raises(
        NotACitizen, match=r"canvas of several tasks \(chain\): TaskTree\.from_canvas\(…\) makes a tree"
    ):
        TaskTree().add_task(chain(echo.s(), echo.s()))
    with pytest.raises(NotACitizen, match=r"canvas of several tasks \(group\): TaskTree\.from_canvas"):
        TaskTree().add_task(group(echo.s(), echo.s()))
    other = TaskTree()
    for part in (other, other.add_task(echo)):
        with pytest.raises(NotACitizen, match="is a part of a tree, and not a task: add the tasks that it has"):
            TaskTree().add_task(part)
    with pytest.raises(NotACitizen, match="is a definition of a tree, and not a task: call it"):
        TaskTree().add_task(Registry().add(lambda: TaskTree(), "definition"))
    with pytest.raises(UnknownTask, match=r"did you mean 'tests\.sample\.tasks\.echo'"):
        TaskTree().add_task("tests.sample.tasks.ecko")


def test_a_class_that_is_not_registered_is_refused():
    class Unregistered(Task):
        name = "tests.unregistered"

        def run(self):
            pass

    with pytest.raises(UnknownTask, match=r"tests\.unregistered"):
        TaskTree().add_task(Unregistered)


def test_the_refusal_says_how_to_become_a_citizen():
    @shared_task(name="tests.unit.foreign")
    def foreign():
        pass

    with pytest.raises(NotACitizen, match=r"base=CallbackTask.*task_cls"):
        TaskTree().add_task(foreign)


def test_a_node_says_what_it_is():
    tree = TaskTree("nightly")
    node = tree.gather(echo, run_when="always")
    assert repr(node) == "<TaskTreeNode gather tests.sample.tasks.echo when always, children: 0>"
    assert repr(tree) == "<TaskTree 'nightly', root nodes: 1>"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("retry", r"no option 'retry'\. It takes"),
        ("priorty", r"no option 'priorty'; did you mean 'priority'\? It takes"),
        ("run_wehn", r"did you mean 'run_when'\? It takes allow_failure, .*max_active, .*on_failure, .*run_when, "),
        ("allow_fail", r"did you mean 'allow_failure'\?"),
        ("on_fail", r"did you mean 'on_failure'\?"),
        ("max_activ", r"did you mean 'max_active'\?"),
    ],
)
def test_an_unknown_option_is_an_error_that_reads_well(option, message):
    with pytest.raises(InvalidOption, match=message):
        TaskTree().add_task(echo, **{option: 1})


@pytest.mark.parametrize(
    ("limit", "reason"),
    [(0, "lets nothing run"), ("5", "lets nothing run"), (2**31, "limits nothing: at most 2,147,483,647")],
)
def test_limits_that_make_no_sense(limit, reason):
    for make in (lambda: TaskTree(max_active=limit), lambda: TaskTree().add_task(echo, max_active=limit)):
        with pytest.raises(InvalidOption, match=reason):
            make()
