"""The declaration of tasks with ``chunk``: their parameters, their options, the returned list and their lanes."""

from collections import deque
from types import SimpleNamespace

import pytest
from celery import Task

from django_tasktree import CallbackTask, run_with_callbacks, task_with_callbacks
from django_tasktree.builder import chunks
from django_tasktree.builder.chunks import MAX_CHUNK, ChunkFunction, chunk_lane, chunk_size, is_chunk_lane
from django_tasktree.builder.lanes import LANE_LENGTH, NO_LANE, lane_of
from django_tasktree.exceptions import InvalidOption
from tests import celery_settings
from tests.sample import chunk_tasks
from tests.sample.tasks import echo


def call(function, *nodes, task=None, takes_self=False):
    """Call a function for nodes with the given positional and keyword arguments."""
    wrapped = ChunkFunction("shop.call", function, takes_self=takes_self)
    return wrapped.call(task, [wrapped.bind(args, kwargs) for args, kwargs in nodes])


def same(values):
    return values


def any_values(*values):
    return values


# Parameters


def test_each_parameter_gets_a_list():
    def function(a, /, b, c=3, *, d, e=5):
        return list(zip(a, b, c, d, e, strict=True))

    nodes = [((1, 2), {"d": 4}), ((10,), {"b": 20, "c": 30, "d": 40, "e": 50})]
    assert call(function, *nodes) == [(1, 2, 3, 4, 5), (10, 20, 30, 40, 50)]


def test_the_task_is_passed_as_usual():
    def function(self, values):
        return [(self, value) for value in values]

    assert call(function, (("a",), {}), (("b",), {}), task="the task", takes_self=True) == [
        ("the task", "a"),
        ("the task", "b"),
    ]


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"task 'shop.call': missing a required argument: 'values'"):
        call(lambda values: values, ((), {}))
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        call(lambda values: values, ((1,), {"other": 2}))


@pytest.mark.parametrize(
    "function",
    [lambda *values: values, lambda **values: values, lambda value, *more: more, lambda: ()],
    ids=["args", "kwargs", "more", "none"],
)
def test_a_function_without_named_parameters_is_refused(function):
    with pytest.raises(InvalidOption, match=r"can't have \*args or \*\*kwargs"):
        task_with_callbacks(chunk=2)(function)


def test_a_function_that_only_takes_the_task_is_refused():
    with pytest.raises(InvalidOption, match=r"with the parameters \(\)"):
        task_with_callbacks(chunk=2, bind=True)(lambda self: [])


# The returned list


@pytest.mark.parametrize("returned", [[1, 2], (1, 2), deque([1, 2]), range(1, 3), {1: "", 2: ""}.keys()], ids=repr)
def test_sized_iterables_are_accepted(returned):
    assert call(lambda values: returned, ((0,), {}), ((0,), {})) == [1, 2]


@pytest.mark.parametrize(
    "returned",
    ["ab", b"ab", {1: 1, 2: 2}, {1, 2}, frozenset({1, 2}), None, 2, iter([1, 2])],
    ids=["str", "bytes", "dict", "set", "frozenset", "None", "int", "iterator"],
)
def test_other_types_are_refused(returned):
    with pytest.raises(TypeError, match="a list with one result for each node of its chunk, here 2, but it returned a"):
        call(lambda values: returned, ((0,), {}), ((0,), {}))


@pytest.mark.parametrize("length", [0, 1, 3])
def test_another_length_is_refused(length):
    with pytest.raises(ValueError, match=f"here 2, but it returned {length}"):
        call(lambda values: [0] * length, ((0,), {}), ((0,), {}))


# Options


@pytest.mark.parametrize("chunk", [0, -1, True, 2.0, "50", MAX_CHUNK + 1, [1]])
def test_other_numbers_are_refused(chunk):
    with pytest.raises(InvalidOption, match="is not a whole number from 1 to 1,000"):
        task_with_callbacks(chunk=chunk)(lambda values: values)


@pytest.mark.parametrize("options", [{"atomic": True}, {"on_worker_lost": "fail"}, {"pydantic": True}])
def test_options_that_exclude_a_chunk_are_refused(options):
    with pytest.raises(InvalidOption, match=f"can't have both chunk= and {next(iter(options))}="):
        task_with_callbacks(chunk=2, **options)(lambda values: values)


def test_no_chunk_changes_nothing():
    assert chunk_size(task_with_callbacks(name="tests.no_chunk", chunk=None)(any_values)) == 1
    assert chunk_size(echo) == chunk_size(None) == 1


def test_the_largest_chunk():
    assert chunk_size(task_with_callbacks(name="tests.largest", chunk=MAX_CHUNK)(same)) == MAX_CHUNK


def test_classes_are_checked_too():
    with pytest.raises(InvalidOption, match=r"can't have both chunk= and atomic="):

        class Atomic(CallbackTask):
            name = "tests.atomic"
            atomic = True
            chunk = 2

            def run(self, values):
                return values


def test_a_class_of_celery_is_checked():
    with pytest.raises((InvalidOption, RuntimeError)) as caught:

        class Other(Task):
            chunk = 2

            @run_with_callbacks
            def run(self, *values):
                return values

    assert "*args" in str(caught.value.__cause__ or caught.value)


@pytest.fixture
def register(app):
    """Return a function that registers a task class, and returns its instance."""
    names = []

    def register(cls):
        names.append(cls.name)
        return app.register_task(cls())

    yield register
    for name in names:
        app.tasks.unregister(name)


def test_a_subclass_may_have_another_chunk_or_function(register):
    class Base(CallbackTask):
        name = "tests.base"
        chunk: int | None = 2

        def run(self, values):
            return values

    class Wider(Base):
        name = "tests.wider"
        chunk = 3

    class Other(Base):
        name = "tests.other"

        def run(self, texts):
            return super().run([text.upper() for text in texts])

    class Single(Base):
        name = "tests.single"
        chunk = None

        def run(self, text):
            return text

    base, wider, other, single = map(register, (Base, Wider, Other, Single))
    assert [chunk_size(task) for task in (base, wider, other, single)] == [2, 3, 2, 1]
    assert other(["a", "b"]) == ["A", "B"]
    assert [task.apply(["a"]).get() for task in (base, wider, other, single)] == ["a", "a", "A", "a"]


# Lanes


def test_a_lane_contains_the_name_of_the_task():
    assert chunk_lane("q|5", "shop.encode", 100) == "q|5|shop.encode"
    assert is_chunk_lane("q|5|shop.encode", "shop.encode")
    assert not is_chunk_lane("q|5", "shop.encode")
    assert not is_chunk_lane("q|5|shop.decode", "shop.encode")


def test_a_lane_contains_a_digest_of_a_long_name():
    name = "shop." + "x" * 200
    lane = chunk_lane("q|5", name, 100)
    assert len(lane) <= 100
    assert is_chunk_lane(lane, name)
    assert not is_chunk_lane(lane, name + "x")


def test_nodes_with_limits_of_the_task_have_a_lane():
    for task in (chunk_tasks.double, chunk_tasks.with_time_limit, chunk_tasks.one_chunk):
        lane = lane_of(task.name, {}, is_limited=False)
        assert is_chunk_lane(lane, task.name)
        assert len(lane) <= LANE_LENGTH


@pytest.mark.parametrize(
    "options", [{"time_limit": 3}, {"expires": 3}, {"share_message": False}, {"on_worker_lost": "fail"}, {"eta": "x"}]
)
def test_nodes_with_such_options_have_no_lane(options):
    assert lane_of(chunk_tasks.double.name, options, is_limited=False) == NO_LANE


def test_nodes_under_a_limit_have_no_lane():
    assert lane_of(chunk_tasks.double.name, {}, is_limited=True) == NO_LANE


def test_a_chunk_of_one_has_an_ordinary_lane(sharing):
    assert lane_of(chunk_tasks.single.name, {}, is_limited=False) == lane_of(echo.name, {}, is_limited=False) != NO_LANE


def test_lanes_without_shared_messages(settings):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    assert lane_of(echo.name, {}, is_limited=False) == NO_LANE
    assert lane_of(echo.name, {"share_message": True}, is_limited=False) == NO_LANE
    assert lane_of(chunk_tasks.double.name, {}, is_limited=False) != NO_LANE


def test_limits_of_all_tasks(app, monkeypatch):
    """A time limit of the project counts for a call for a chunk; a short one keeps others from sharing messages."""
    with celery_settings.changed(app, task_always_eager=False):
        for task in (echo, chunk_tasks.double):
            monkeypatch.setattr(task, "time_limit", 3)
        assert lane_of(echo.name, {}, is_limited=False) == NO_LANE
        assert lane_of(chunk_tasks.double.name, {}, is_limited=False) != NO_LANE


def test_how_long_a_process_goes_on(settings):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3}
    assert [
        chunks.seconds_to_share(task)
        for task in (None, echo, chunk_tasks.double, chunk_tasks.with_time_limit, chunk_tasks.one_chunk)
    ] == [3, 3, 3, 0, 0]
    limited = SimpleNamespace(
        chunk=2, chunk_function=1, time_limit=None, soft_time_limit=None, rate_limit="3/m", share_message=True
    )
    assert chunks.seconds_to_share(limited) == 0
