"""Any exception or result of a task function ends its attempt, with the right error, on every database."""

import math
import pickle

import pytest
from celery.exceptions import Ignore
from django.db import DataError

from django_tasktree import TaskTree
from django_tasktree.encoding.errors import Presentable, describe, presentable
from django_tasktree.encoding.text import is_storable, text_of
from django_tasktree.engine.backends import base, postgresql
from django_tasktree.models import NodeAttempt
from tests.sample import outcomes
from tests.sample.outcomes import CASES
from tests.sample.tasks import echo

#: Celery's autoretry treats these as errors.
NO_ERRORS = {"reject", "reject with what raises", "stops with an object"}
RETRIED = [name for name, case in CASES.items() if case.type and name not in NO_ERRORS]


@pytest.fixture(autouse=True)
def check_logs(caplog):
    """Check that the log can be written to any file."""
    yield
    assert is_storable(caplog.text), ascii(caplog.text)[-3000:]


def run(task, name, case=None):
    """Run one node with a child for each outcome; return its row and its handle."""
    case = case or CASES[name]
    tree = TaskTree()
    node = tree.add_task(task, [name])
    after = {when: node.add_task(echo, [when], run_when=when) for when in ("success", "failure")}
    result = tree.apply_async()
    ran = [when for when, child in after.items() if result[child].state == "SUCCESS"]
    assert (ran, result.state) == ((["failure"], "FAILURE") if case.type else (["success"], "SUCCESS"))
    return result[node].node, result[node]


def check(row, handle, name):
    """Check the row and the handle of a node that has run a case."""
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


def check_all(names, check_case):
    """Check every case in one test, because flushing the databases after each case would take minutes."""
    wrong = {}
    for name in names:
        try:
            check_case(name)
        except BaseException as exc:  # noqa: PERF203
            # The report of pytest could fail on the exception itself.
            wrong[name] = text_of(exc).encode("ascii", "backslashreplace").decode()
    assert not wrong


@pytest.mark.parametrize("task", [outcomes.hostile, outcomes.hostile_atomic], ids=["plain", "atomic"])
def test_an_awkward_outcome_ends_the_attempt(database, eager, task):
    def check_case(name):
        row, handle = run(task, name)
        assert row.attempts == 1
        check(row, handle, name)

    check_all(CASES, check_case)


def test_a_retried_error_keeps_its_message(database, eager):
    def check_case(name):
        row, handle = run(outcomes.hostile_retried, name)
        check(row, handle, name)
        log = NodeAttempt.objects.filter(node=row)
        assert [attempt.error_type for attempt in log] == [row.error_type] * (row.attempts - 1)
        assert all(CASES[name].message in attempt.error_message for attempt in log)

    check_all(RETRIED, check_case)


def test_not_a_number(database, eager):
    tree = TaskTree()
    node = tree.add_task(echo, [math.nan])
    assert math.isnan(tree.apply_async()[node].get())


@pytest.mark.parametrize(("text", "shown"), [("a\x00\ud800", r"a\x00\ud800"), ("raises", "can't be shown")])
def test_the_reason_of_ignore(database, eager, text, shown):
    tree = TaskTree()
    node = tree.add_task(outcomes.ignores, [text])
    row = tree.apply_async()[node].node
    assert (row.state, row.attempts) == ("SKIPPED", 1)
    assert row.error_type == f"{Ignore.__module__}.Ignore"
    assert shown in row.error_message


@pytest.fixture
def database_refuses(monkeypatch):
    """Return a function that makes finish raise a DataError for the outcomes that do not pass a test."""

    def refuse(fits):
        def values(node, outcome, **options):
            if not fits(outcome):
                raise DataError("refused")
            return write(node, outcome, **options)

        monkeypatch.setattr(base, "outcome_values", values)
        monkeypatch.setattr(postgresql, "outcome_values", values)

    write = base.outcome_values
    return refuse


def test_an_error_that_the_encoding_of_the_database_cannot_store(eager, database, database_refuses):
    """Simulate a database whose encoding is LATIN1, or MariaDB's utf8mb3."""
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


def test_celery_gets_an_exception_that_it_can_handle():
    plain = ValueError("fine")
    assert presentable(plain) is plain
    shown = presentable(outcomes.NoText())
    assert isinstance(shown, Presentable)
    assert str(shown).startswith("tests.sample.outcomes.NoText: ")
    assert describe(pickle.loads(pickle.dumps(shown))).type == "tests.sample.outcomes.NoText"


def test_a_traceback_that_can_not_be_formatted():
    class NoTraceback(Exception):
        @property
        def __traceback__(self):  # type: ignore[override]
            raise RuntimeError("no traceback")

    error = describe(NoTraceback("fine"))
    assert error.message == "fine"
    assert error.traceback == "The traceback can't be formatted: no traceback\nno traceback"
