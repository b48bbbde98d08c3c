"""``self.replace()`` as Celery runs it, and in a tree: equal results and errors, on real workers."""

import pytest
from celery import chain, chord, group
from celery.result import allow_join_result

from django_tasktree import TaskTree
from tests.patience import PATIENCE
from tests.sample.sub_run_tasks import replaced, replaced_again, replaced_at_last
from tests.sample.tasks import CustomError, add, echo, fail, total

pytestmark = pytest.mark.worker

#: What takes the place of a task.
REPLACEMENTS = {
    "task": add.s(1, 2),
    "chain": chain(add.s(1, 2), add.s(10)),
    "group": group(add.s(1, 2), add.s(3, 4)),
    "group of one": group(add.s(1, 2)),
    "chord": chord([add.s(1, 2), add.s(3, 4)], total.s()),
    "group of chains": group(chain(add.s(1, 1), add.s(2)), echo.s("b")),
    "chain that ends with a group": chain(add.s(1, 1), group(add.s(1), add.s(2))),
    "chain with a chord": chain(add.s(1, 1), chord([add.s(1), add.s(2)], total.s()), add.s(1)),
    "a task that is replaced": replaced.s(dict(chain(add.s(4, 5), add.s(1)))),
}
#: Canvases in which a task is replaced.
AROUND = {
    "alone": lambda task: task,
    "in a chain": lambda task: chain(echo.s("first"), task, echo.s()),
    "in a chord": lambda task: chord([task, echo.s("beside")], echo.s()),
    "as the body of a chord": lambda task: chord([echo.s(1), echo.s(2)], task),
}

_ON_REDIS = pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)


def of_celery(canvas):
    with allow_join_result():
        return canvas.apply_async().get(timeout=PATIENCE)


def of_tree(canvas):
    return TaskTree.from_canvas(canvas).apply_async().value(PATIENCE)


@_ON_REDIS
@pytest.mark.parametrize("name", REPLACEMENTS)
def test_what_takes_the_place(stack, name):
    task = replaced.si(dict(REPLACEMENTS[name]))
    assert of_tree(task) == of_celery(task)


@_ON_REDIS
@pytest.mark.parametrize("replacement", ["task", "chain", "group", "chord"])
@pytest.mark.parametrize("around", AROUND)
def test_where_the_task_is(stack, around, replacement):
    canvas = AROUND[around](replaced.si(dict(REPLACEMENTS[replacement])))
    assert of_tree(canvas) == of_celery(canvas)


@_ON_REDIS
@pytest.mark.parametrize("task", [replaced_again.si(3), replaced_at_last.si(dict(add.s(1, 2)))], ids=["again", "retry"])
def test_several_attempts(stack, task):
    assert of_tree(task) == of_celery(task)


@_ON_REDIS
@pytest.mark.parametrize("replacement", [fail.s("bad"), chain(fail.s("bad"), echo.s())], ids=["task", "chain"])
def test_a_failure(stack, replacement):
    task = replaced.si(dict(replacement))
    with pytest.raises(CustomError) as theirs:
        of_celery(task)
    with pytest.raises(CustomError) as ours:
        of_tree(task)
    assert ours.value.args == theirs.value.args


EXPECTED = {"task": 3, "chain": 13, "group": [3, 7], "chord": 10, "a task that is replaced": 10}


@pytest.mark.parametrize("name", EXPECTED)
def test_on_each_stack(stack, name):
    assert of_tree(replaced.si(dict(REPLACEMENTS[name]))) == EXPECTED[name]
