"""On real workers: canvases that Celery does not always finish, callbacks, errbacks, chunks and maps."""

import pytest
from celery import chain, chord, group
from celery.result import allow_join_result

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.patience import PATIENCE
from tests.sample.tasks import add, echo, errback, errback_with_all, fail, note, note_and_fail, total

pytestmark = [
    pytest.mark.worker,
    pytest.mark.parametrize("stack", ["postgresql-redis", "postgresql-rabbitmq"], indirect=True),
]


def _run(canvas, state="SUCCESS"):
    """Run a canvas as a tree and check the state of the run; return both."""
    tree = TaskTree.from_canvas(canvas)
    result = tree.apply_async()
    assert result.wait(PATIENCE) == state
    return tree, result


def test_a_chord_in_a_chain_in_a_group_in_a_chord(stack):
    inner = chord([add.si(1, 1), add.si(2, 2)], total.s())
    canvas = chord([group(chain(echo.si(0), inner, add.s(10)), add.s(3, 3)), add.s(4, 4)], total.s())
    assert _run(canvas)[1].value() == 16 + 6 + 8


def test_chords_nested_fifteen_deep_in_headers(stack):
    canvas = add.s(1, 0)
    for _ in range(15):
        canvas = chord([canvas, add.s(1, 0)], total.s())
    assert _run(canvas)[1].value() == 16


def test_a_failing_member_in_a_nested_chain_inside_a_chord(stack):
    """https://github.com/celery/celery/issues/9674: the chord hung."""
    canvas = chord([chain(echo.si(1), chain(fail.si("inside"), echo.si(2))), echo.si(3)], total.s())
    tree, result = _run(canvas, "FAILURE")
    assert result[tree.children[-1]].state == "SKIPPED"


def test_a_header_member_that_ends_in_a_group(stack):
    """Celery 5.7 hangs."""
    canvas = chord([chain(echo.si(0), group(echo.si(1), echo.si(2))), echo.si(3)], echo.s())
    assert _run(canvas)[1].value() == [[1, 2], 3]


def test_a_chord_body_that_is_a_group(stack):
    canvas = chain(chord([echo.si(1), echo.si(2)], group(echo.s(), echo.s())), echo.s())
    assert _run(canvas)[1].value() == [[1, 2], [1, 2]]


def test_a_chord_body_that_runs_after_a_failure(stack):
    """https://github.com/celery/celery/issues/1881: only as a tree, because a canvas cannot express it."""
    tree = TaskTree.from_canvas(group(fail.si("member"), echo.si("fine")))
    body = tree.gather(echo, [tree.outcomes], run_when="always")
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "FAILURE"
    assert [(outcome["state"], outcome["result"]) for outcome in result[body].get()] == [
        ("FAILURE", None),
        ("SUCCESS", "fine"),
    ]


@pytest.mark.parametrize(
    "canvas",
    [
        chain(group(), add.s(1, 2), group(), add.s(3)),
        chain(add.s(1, 2), group(group(), group()), total.s(), add.s(6)),
        chord([chord([], add.si(1, 2)), group()], chain(total.s(), add.s(3))),
        chain(chain(), add.s(1, 2), chain(group(), add.s(3)), group()),
    ],
    ids=["in a chain", "nested", "in a header", "at the ends"],
)
def test_empty_groups_anywhere(stack, canvas):
    """https://github.com/celery/celery/issues/9772."""
    assert _run(canvas)[1].value() == 6


def test_a_canvas_without_tasks_succeeds_immediately(stack):
    assert _run(chain(group(), group()))[1].value() == []


def test_chunks_and_maps_return_what_celery_returns(stack):
    for signature in (
        add.chunks([(1, 2), (3, 4), (5, 6)], 2).group(),
        add.starmap([(1, 2), (3, 4)]),
        echo.map([1, 2, 3]),
    ):
        with allow_join_result():
            expected = signature.apply_async().get(timeout=PATIENCE)
        assert TaskTree.from_canvas(signature).apply_async().value(PATIENCE) == expected
    assert _run(chain(add.chunks([(1, 2), (3, 4)], 1), echo.s()))[1].value() == [[3], [7]]


def test_callbacks_and_errbacks(stack, tmp_path):
    log = tmp_path / "log"
    log.touch()
    first = note.signature(("first",), {"log": str(log)})
    first.link(note_and_fail.signature(("callback",), {"log": str(log)}))
    failing = note_and_fail.signature(("failing",), {"log": str(log)}, immutable=True)
    failing.link_error(errback.s(log=str(log)))
    failing.link_error(errback_with_all.s(log=str(log)))
    _, result = _run(chain(first, failing, note.signature(("never",), {"log": str(log)})), "FAILURE")
    lines = log.read_text().splitlines()
    assert sorted(lines) == [
        "callback",
        "errback of one argument",
        "errback of three: CustomError failing failed",
        "failing",
        "first",
    ]
    assert NodeRun.objects.get(run_id=result.id, allow_failure=True, state="FAILURE").task.endswith("note_and_fail")


def test_a_failing_callback_does_not_fail_the_run(stack, tmp_path):
    log = tmp_path / "log"
    first = note.signature(("first",), {"log": str(log)})
    first.link(note_and_fail.signature(("callback",), {"log": str(log)}))
    _run(chord([first, echo.si(2)], echo.s()))


def test_the_errback_of_a_chord_body_is_called_if_the_header_fails(stack, tmp_path):
    log = tmp_path / "log"
    body = total.s()
    body.link_error(errback_with_all.s(log=str(log)))
    _run(chain(echo.si(0), chord([fail.si("x"), echo.si(1)], body)), "FAILURE")
    (line,) = log.read_text().splitlines()
    assert line.startswith("errback of three: ChordError")


def test_the_errback_of_a_chord_body_is_not_called_if_the_header_never_starts(stack, tmp_path):
    log = tmp_path / "log"
    log.touch()
    body = total.s()
    body.link_error(errback_with_all.s(log=str(log)))
    _run(chain(fail.si("before"), chord([echo.si(1)], body)), "FAILURE")
    assert log.read_text() == ""
