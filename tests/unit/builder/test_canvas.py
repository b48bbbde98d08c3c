"""Canvases as trees: the place of each task."""

import json

import pytest
from celery import Signature, chain, chord, group
from kombu.utils import json as kombu_json

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import TaskTreeNode
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.types import Placement
from django_tasktree.exceptions import TaskNotSupported, UnsupportedCanvas
from tests.sample.tasks import add, echo, total


def shape(parent, names=None):
    """Return a tree as nested tuples: first argument or name of the task, ``*`` for a gather node, children."""
    found = []
    for child in parent.children:
        first = child.args[0] if child.args and isinstance(child.args[0], (str, int)) else child.task.split(".")[-1]
        label = f"{first}{'*' if child.rules.is_gather else ''}"
        below = shape(child)
        found.append((label, *below) if below else label)
    return tuple(found)


def e(name, immutable=True):
    return echo.si(name) if immutable else echo.s(name)


@pytest.mark.parametrize(
    ("canvas", "expected"),
    [
        (e("a"), ("a",)),
        (chain(e("a"), e("b"), e("c")), (("a", ("b", "c")),)),
        (group(e("a"), e("b")), ("a", "b")),
        (group(), ()),
        (chord([e("a"), e("b")], e("c")), ("a", "b", "c*")),
        (chord([], total.s()), ("total",)),
        (chain(e("a"), group(e("b"), e("c")), e("d"), e("x")), (("a", "b", "c", ("d*", "x")),)),
        (chain(e("a"), group(e("b"), e("c")), group(e("d"), e("x"))), (("a", "b", "c", ("fork*", "d", "x")),)),
        (group(chain(e("a"), e("b")), e("c")), (("a", "b"), "c")),
        (group(group(e("a"), e("b")), e("c")), ("a", "b", "c")),
        (chain(e("a"), group(e("b")), e("c")), (("a", ("b", "c")),)),
        (chain(e("a"), group(), e("c")), (("a", "c"),)),
        (chord([chord([e("a"), e("b")], e("c")), e("d")], e("x")), (("fork", "a", "b", "c*"), "d", "x*")),
        (chord([chord([e("a")], e("c"))], e("x")), (("fork", "a", "c*"), "x*")),
        (echo.chunks([("a",), ("b",), ("c",)], 2), ("tests.sample.tasks.echo", "tests.sample.tasks.echo")),
        (echo.starmap([("a",)]), ("tests.sample.tasks.echo",)),
        (echo.map(["a"]), ("tests.sample.tasks.echo",)),
    ],
)
def test_the_tree_of_a_canvas(canvas, expected):
    assert shape(TaskTree.from_canvas(canvas)) == expected
    text = kombu_json.dumps(canvas)
    assert shape(TaskTree.from_canvas(json.loads(text))) == expected


def test_a_result_precedes_the_other_arguments():
    tree = TaskTree.from_canvas(chain(add.s(1, 2), add.s(3)))
    first = tree.children[0]
    assert first.children[0].args == (first.output, 3)


def test_an_immutable_signature_gets_no_result():
    tree = TaskTree.from_canvas(chain(add.s(1, 2), add.si(3, 4)))
    assert tree.children[0].children[0].args == (3, 4)


def test_a_chord_body_gets_one_reference_to_all_results_if_possible():
    tree = TaskTree.from_canvas(chord([add.s(1, 1), add.s(2, 2)], total.s()))
    assert tree.children[-1].args == (tree.outputs,)


def test_a_chord_body_gets_the_last_results_of_longer_members_in_order():
    tree = TaskTree.from_canvas(chord([chain(add.s(1, 1), add.s(2)), add.s(3, 3)], total.s()))
    long, short, body = tree.children
    assert body.args == ([long.children[0].output, short.output],)


def test_options_and_keyword_arguments_are_kept():
    signature = add.signature((1,), {"y": 2}, queue="q", priority=3, countdown=5)
    (node,) = TaskTree.from_canvas(signature).children
    assert (node.args, node.kwargs) == ((1,), {"y": 2})
    assert node.options == {"queue": "q", "priority": 3, "countdown": 5}


def test_a_group_in_a_chain_is_placed_like_its_first_member():
    inner = chord([echo.si("a").set(queue="q"), echo.si("b")], echo.si("c"))
    tree = TaskTree.from_canvas(group(inner, echo.si("d")))
    assert tree.children[0].options == {"queue": "q"}


def test_options_of_a_group_apply_to_its_members():
    tree = TaskTree.from_canvas(group(e("a"), e("b")).set(queue="q"))
    assert [node.options for node in tree.children] == [{"queue": "q"}] * 2


def test_callbacks_are_children_that_are_allowed_to_fail():
    signature = add.s(1, 2)
    signature.link(chain(echo.s(), echo.s()))
    tree = TaskTree.from_canvas(chain(signature, echo.si("next")))
    first = tree.children[0]
    callback, following = first.children
    assert (callback.args, callback.rules.allow_failure) == ((first.output,), True)
    assert callback.children[0].rules.allow_failure
    assert not following.rules.allow_failure


def test_an_errback_is_a_child_that_runs_after_a_failure():
    signature = add.s(1, 2)
    signature.link_error(echo.s("oops"))
    (node,) = TaskTree.from_canvas(signature).children
    (errback,) = node.children
    assert (errback.task, errback.rules.run_when) == ("django_tasktree.errback", "failure")


@pytest.mark.parametrize(
    ("canvas", "error", "message"),
    [
        ("text", UnsupportedCanvas, "is not a signature"),
        ({"task": "x", "subtask_type": "spiral"}, UnsupportedCanvas, "type 'spiral'"),
        (add.s(1, 2).set(task_id="mine"), UnsupportedCanvas, "'task_id' of 'tests.sample.tasks.add' can't be kept"),
        (Signature("celery.accumulate", args=(1,)), TaskNotSupported, "celery.accumulate"),
        (chord([e("a")]), UnsupportedCanvas, "without a body"),
    ],
)
def test_what_a_tree_cannot_express_is_refused(canvas, error, message):
    with pytest.raises(error, match=message):
        TaskTree.from_canvas(canvas)


def test_an_errback_of_several_tasks_is_refused():
    signature = add.s(1, 2)
    signature.link_error(chain(e("a"), e("b")))
    with pytest.raises(UnsupportedCanvas, match="must be one task, not a chain"):
        TaskTree.from_canvas(signature)


def _depth(tree):
    depth, node = 0, tree
    while node.children:
        node, depth = node.children[0], depth + 1
    return depth


def test_a_chain_of_ten_thousand_tasks():
    # In its JSON form, because Celery 5.5 copies the whole chain for each task that is added.
    canvas = {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [e("a") for _ in range(10_000)]}}
    tree = TaskTree.from_canvas(canvas)
    assert _depth(tree) == 10_000
    run_id = new_id()
    assert len(plan_nodes(tree, Placement(run_id))) == 10_000


def test_chords_nested_five_hundred_deep():
    canvas = e("a")
    for _ in range(500):
        canvas = {"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": [canvas], "body": e("b")}}
    tree = TaskTree.from_canvas(canvas)
    assert _depth(tree) == 500
    assert all(isinstance(node, TaskTreeNode) for node in tree.children)


def test_a_group_of_twenty_thousand_tasks_has_one_reference():
    tree = TaskTree.from_canvas(chord([e("a") for _ in range(20_000)], total.s()))
    assert len(tree.children) == 20_001
    assert tree.children[-1].args == (tree.outputs,)


@pytest.mark.parametrize(
    "canvas",
    [
        chord([add.s(1, 2), add.s(3, 4)], total.s(), interval=5, max_retries=3),  # type: ignore[call-arg]
        chord([add.s(1, 2).set(retry=False), add.s(3, 4)], total.s().set(retry_policy={"max_retries": 1})),
        group(add.s(1, 2).set(retry=True), add.s(3, 4)).set(retry=False) | total.s(),
    ],
)
def test_options_that_a_tree_does_not_need_are_dropped(canvas):
    """Options for the polling of a chord and for retries of sending a message."""
    plain = chord([add.s(1, 2), add.s(3, 4)], total.s())
    made = TaskTree.from_canvas(canvas)
    assert shape(made) == shape(TaskTree.from_canvas(plain))
    assert all(node.options == {} for node in made.children)


def test_max_retries_of_a_task_is_not_a_polling_option():
    with pytest.raises(UnsupportedCanvas, match=r"option 'max_retries' of 'tests\.sample\.tasks\.add' can't be kept"):
        TaskTree.from_canvas(add.s(1, 2).set(max_retries=3))  # type: ignore[call-arg]
