"""Deadlines that pass before, during and after an action in batches."""

import pytest

from django_tasktree.control import operations
from django_tasktree.recovery.sweep import sweep
from tests.integration.control.changes import (
    age_changes,
    before_batch,
    die_before_batch,
    failed_fan,
    fan,
    pass_the_deadline,
)


def test_a_deadline_that_passes_during_an_action_is_enforced_afterwards(database, small_batches, app):
    result = failed_fan()
    seen = []

    def look():
        pass_the_deadline(result.id)
        seen.append((operations.enforce_deadline(result.id), sweep(app).overdue))

    with before_batch(look):
        result.retry()
    assert seen == [(False, 0)]
    assert result.state == "STARTED"
    assert sweep(app).overdue == 1
    assert result.state == "FAILURE"
    assert [entry.action for entry in result.history] == ["retry", "deadline"]


def test_a_retry_after_the_deadline_removes_the_deadline(database, small_batches, app):
    result = fan()
    pass_the_deadline(result.id)
    assert operations.enforce_deadline(result.id)
    with die_before_batch(2), pytest.raises(KeyboardInterrupt):
        result.retry()
    age_changes()
    assert sweep(app).continued == 1
    assert result.state == "STARTED"
    assert result.run.deadline is None


def test_the_next_sweep_stops_an_overdue_run_if_time_runs_out(database, small_batches, app):
    result = fan()
    pass_the_deadline(result.id)
    answers = iter([True, True])
    assert operations.enforce_deadline(result.id, lambda: next(answers, False))
    assert result.state == "CHANGING"
    assert sweep(app).continued == 1
    assert (result.state, result.run.error_message[:35]) == ("FAILURE", "the run had not ended by its deadli")
    assert [(entry.action, entry.nodes) for entry in result.history] == [("deadline", 22)]
