"""Whatever a task function raises or returns ends that attempt at once, with its own error, on every database."""

import math
import pickle

import pytest
from celery.exceptions import Ignore
from django.db import DataError

from django_tasktree import TaskTree
from django_tasktree.engine import finish
from django_tasktree.failures import Presentable, describe, presentable
from django_tasktree.models import NodeAttempt
from django_tasktree.text import is_storable, text_of
from tests.sample import outcomes
from tests.sample.outcomes import CASES
from tests.sample.tasks import echo

#: Celery's autoretry takes these for errors too.
NO_ERRORS = {"reject", "reject with what raises", "stops with an object"}
RETRIED = [name for name, case in CASES.items() if case.type and name not in NO_ERRORS]


@pytest.fixture(autouse=True)
def check_logs(caplog):
    """What is logged can be written to any file."""
    yield
    assert is_storable(caplog.text), ascii(caplog.text)[-3000:]


def run(task, name, case=None):
    """Run one node, with a child for either end; gives its row."""
    case = case or CASES[name]
    tree = TaskTree()
    node = tree.add_task(task, [name])
    after = {when: node.add_task(echo, [when], run_when=when) for when in ("success", "failure")}
    result = tree.apply_async()
    ran = [when for when, child in after.items() if result[child].state == "SUCCESS"]
    assert (ran, result.state) == ((["failure"], "FAILURE") if case.type else (["success"], "SUCCESS"))
    return result[node].node, result[node]


def check(row, handle, name):
    case = CASES[name]
    if case.type is None:
        assert (row.state, row.error_type) == ("SUCCESS", "")
        assert handle.get() == case.result
        return
    assert row.state == "FAILURE"
    assert row.error_type.startswith(case.type[:250])
    assert case.message in row.error_message
    assert row.traceback or name.startswith("reject")
    with pytest.raises(Exception) as caught:
        handle.get()
    assert caught.value.__cause__ is not None or name.startswith("reject")


def check_all(names, look):
    """Look at each case; one test for all, as to empty three databases after each would take minutes."""
    wrong = {}
    for name in names:
        try:
            look(name)
        except BaseException as exc:  # noqa: PERF203
            # The exception itself could break whoever shows it.
            wrong[name] = text_of(exc).encode("ascii", "backslashreplace").decode()
    assert not wrong


@pytest.mark.parametrize("task", [outcomes.hostile, outcomes.hostile_atomic], ids=["plain", "atomic"])
def test_it_ends_the_attempt(database, eager, task):
    def look(name):
        row, handle = run(task, name)
        assert row.attempts == 1
        check(row, handle, name)

    check_all(CASES, look)


def test_an_error_that_is_retried_keeps_its_own_text(database, eager):
    def look(name):
        row, handle = run(outcomes.hostile_retried, name)
        check(row, handle, name)
        log = NodeAttempt.objects.filter(node=row)
        assert [attempt.error_type for attempt in log] == [row.error_type] * (row.attempts - 1)
        assert all(CASES[name].message in attempt.error_message for attempt in log)

    check_all(RETRIED, look)


def test_not_a_number(database, eager):
    tree = TaskTree()
    node = tree.add_task(echo, [math.nan])
    assert math.isnan(tree.apply_async()[node].get())


@pytest.mark.parametrize(("text", "shown"), [("a\x00\ud800", r"a\x00\ud800"), ("raises", "can't be shown")])
def test_a_reason_to_be_ignored(database, eager, text, shown):
    tree = TaskTree()
    node = tree.add_task(outcomes.ignores, [text])
    row = tree.apply_async()[node].node
    assert (row.state, row.attempts) == ("SKIPPED", 1)
    assert row.error_type == f"{Ignore.__module__}.Ignore"
    assert shown in row.error_message


@pytest.fixture
def database_refuses(monkeypatch):
    """Let finish fail with a DataError for some outcomes."""

    def refuse(fits):
        def values(node, outcome, **options):
            if not fits(outcome):
                raise DataError("refused")
            return write(node, outcome, **options)

        monkeypatch.setattr(finish, "_values", values)

    write = finish._values
    return refuse


def test_an_error_that_the_encoding_of_the_database_lacks(eager, database, database_refuses):
    """As with a database whose encoding is LATIN1, or MariaDB's utf8mb3."""
    database_refuses(lambda outcome: outcome.error is None or outcome.error.message.isascii())
    row, _handle = run(outcomes.hostile, "emoji in a message")
    assert (row.state, row.attempts, row.error_type) == ("FAILURE", 1, "builtins.ValueError")
    assert row.error_message == r"\U0001f600"


def test_a_result_that_the_database_refuses(eager, database, database_refuses):
    database_refuses(lambda outcome: outcome.result != '"large"')
    tree = TaskTree()
    node = tree.add_task(echo, ["large"])
    row = tree.apply_async()[node].node
    assert (row.state, row.attempts, row.error_type) == ("FAILURE", 1, "django.db.utils.DataError")
    assert row.error_message == "refused"


def test_celery_is_given_what_it_can_handle():
    plain = ValueError("fine")
    assert presentable(plain) is plain
    shown = presentable(outcomes.NoText())
    assert isinstance(shown, Presentable)
    assert str(shown).startswith("tests.sample.outcomes.NoText: ")
    assert describe(pickle.loads(pickle.dumps(shown))).type == "tests.sample.outcomes.NoText"


def test_a_traceback_that_can_not_be_formatted():
    class NoTraceback(Exception):
        @property
        def __traceback__(self):
            raise RuntimeError("no traceback")

    error = describe(NoTraceback("fine"))
    assert error.message == "fine"
    assert error.traceback == "The traceback can't be formatted: no traceback\nno traceback"
