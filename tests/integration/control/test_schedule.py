"""Drafts, runs that start later, and deadlines."""

from datetime import timedelta

import pytest
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidOption, NotPossible
from django_tasktree.models import TreeRun
from django_tasktree.signals import run_started
from django_tasktree.tasks import enforce_deadline, start_due
from tests.integration.control.play import end, play, queued, states, take
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def tree():
    """Return a tree of three nodes."""
    tree = TaskTree()
    tree.add_task(echo, ["a"]).add_task(echo, ["a1"])
    tree.add_task(echo, ["b"])
    return tree


@pytest.fixture
def sent(app, monkeypatch):
    """Return a list that receives the messages of the package's own tasks, which are not sent."""
    messages = []
    send = app.send_task

    def keep(name, args=None, *more, **options):
        if name.startswith("django_tasktree."):
            messages.append((name, args, options))
            return None
        return send(name, args, *more, **options)

    monkeypatch.setattr(app, "send_task", keep)
    return messages


def test_a_draft_waits_to_be_launched(tree):
    started = []

    def receiver(run_id, **_):
        started.append(run_id)

    run_started.connect(receiver)
    result = tree.apply_async(draft=True)
    assert (result.state, result.run.started_at, queued(result.id)) == ("DRAFT", None, [])
    result.launch(by="test")
    run_started.disconnect(receiver)
    assert result.state == "STARTED"
    assert started[-1] == result.id
    assert play(result.id) == ["a", "b", "a1"]
    assert result.state == "SUCCESS"
    assert [entry.action for entry in result.history] == ["launch"]
    with pytest.raises(NotPossible, match="SUCCESS: only a draft"):
        result.launch()


def test_an_empty_draft_ends_when_it_is_launched():
    result = TaskTree().apply_async(draft=True)
    assert result.state == "DRAFT"
    result.launch()
    assert result.state == "SUCCESS"


def test_a_draft_can_be_revoked_but_not_retried(tree):
    result = tree.apply_async(draft=True)
    with pytest.raises(NotPossible, match="is a draft: launch it first"):
        result.retry()
    result.revoke()
    assert result.state == "REVOKED"


def test_a_run_with_an_eta_is_a_draft_until_then(tree, sent):
    eta = timezone.now() + timedelta(hours=1)
    result = tree.apply_async(eta=eta)
    assert (result.state, result.run.eta) == ("DRAFT", eta)
    ((name, args, options),) = sent
    assert (name, args, options["eta"]) == ("django_tasktree.start_due", [str(result.id)], eta)
    start_due(*args)
    assert queued(result.id) == ["a", "b"]
    start_due(*args)
    assert play(result.id) == ["a", "b", "a1"]


def test_a_countdown_is_an_eta(tree, sent):
    before = timezone.now()
    run = tree.apply_async(countdown=60).run
    assert timedelta(seconds=60) <= run.eta - before < timedelta(seconds=120)
    assert run.state == "DRAFT"


def test_eta_and_countdown_exclude_each_other(tree):
    with pytest.raises(InvalidOption, match="not both"):
        tree.apply_async(eta=timezone.now(), countdown=1)
    assert not TreeRun.objects.exists()


def test_a_run_that_misses_its_deadline_fails_with_an_error_message(tree, sent):
    result = tree.apply_async(deadline=timedelta(hours=1))
    ((name, args, options),) = sent
    assert (name, options["eta"]) == ("django_tasktree.enforce_deadline", result.run.deadline)
    a = take(result.id, "a")
    enforce_deadline(*args)
    assert result.state == "STARTED"
    TreeRun.objects.filter(id=result.id).update(deadline=timezone.now() - timedelta(seconds=1))
    enforce_deadline(*args)
    assert result.state == "FAILURE"
    assert "had not ended by its deadline" in result.run.error_message
    assert states(result.id) == {"a": "STARTED", "a1": "REVOKED", "b": "REVOKED"}
    end(a)
    assert result.state == "FAILURE"
    assert [entry.action for entry in result.history] == ["deadline"]


def test_a_retry_after_the_deadline_removes_the_deadline(tree, sent):
    result = tree.apply_async(deadline=timezone.now() - timedelta(seconds=1))
    enforce_deadline(str(result.id))
    assert result.state == "FAILURE"
    result.retry()
    assert (result.run.deadline, result.run.error_message) == (None, "")
    enforce_deadline(str(result.id))
    play(result.id)
    assert result.state == "SUCCESS"


def test_a_run_that_has_ended_ignores_its_deadline(tree, sent):
    result = tree.apply_async(deadline=timezone.now() - timedelta(seconds=1))
    play(result.id)
    enforce_deadline(str(result.id))
    assert result.state == "SUCCESS"


def test_in_eager_mode_a_run_starts_at_once(tree, eager):
    assert tree.apply_async(countdown=3600).state == "SUCCESS"
