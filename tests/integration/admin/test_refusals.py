"""Refusals in the admin name runs and nodes by their titles, in the language of the user."""

import pickle
import re
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import translation

from django_tasktree import TaskTree
from django_tasktree.control.actions import ACTIONS
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.refusals import refusal_text
from django_tasktree.states import NodeState, RunState
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)

KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
STATES = re.compile(rf"\b({'|'.join([*NodeState.values, *RunState.values])})\b")
REFUSAL = re.compile(r'<p class="errornote">(.*?)</p>', re.DOTALL)


@pytest.fixture
def runs(world):
    """Return runs in different states, with nodes in different states."""
    made = []
    for task in (echo, fail):
        tree = TaskTree("made")
        top = tree.add_task(task, ["a"])
        top.add_task(fail, ["b"], run_when="always").add_task(echo, ["c"], run_when="always").add_task(echo)
        top.gather(echo, ["d"])
        made.append(tree.apply_async())
    world.deliver_all("w")
    for action in ("pause", "revoke"):
        run = tree.apply_async()
        getattr(run, action)()
        made.append(run)
    run = tree.apply_async()
    run.children[0].revoke()
    made += [run, tree.apply_async(), tree.apply_async(draft=True)]
    return made


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_refusal_shows_keys_or_raw_states(runs, admin_client, language, settings):
    settings.LANGUAGE_CODE = language
    rows = [*TreeRun.objects.all(), *NodeRun.objects.all()]
    refusals = set()
    for row in rows:
        kind = row._meta.model_name
        for action in ACTIONS:
            page = reverse(f"admin:django_tasktree_{kind}_control", args=[row.pk, action])
            answer = admin_client.get(page, headers={"accept-language": language})
            if answer.status_code == 404:
                continue
            refusals |= {text.strip() for text in REFUSAL.findall(answer.content.decode())}
    assert len(refusals) > 10
    for text in refusals:
        assert not KEY.search(text), text
        assert not STATES.search(text), text
        assert text[0].isupper(), text
    if language == "de":
        assert not [text for text in refusals if not text.startswith(("Lauf ", "Knoten ", "In "))]


def test_a_deleted_row_is_named_by_its_key():
    key = uuid4()
    assert refusal_text(NotPossible("run %(run)s is %(state)s", run=key, state="STARTED")) == f"Run “{key}” is started"
    assert str(key) in refusal_text(NotPossible("node %(node)s can't run", node=key))


def test_other_errors_keep_their_texts():
    assert refusal_text(RunNotFound("no run")) == "no run"
    assert refusal_text(NotPossible("100 % sure")) == "100 % sure"


def test_a_refusal_can_be_pickled():
    error = NotPossible("run %(run)s is %(state)s", run=uuid4(), state="STARTED")
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.text, copied.parts) == (str(error), error.text, error.parts)


def test_the_text_of_the_exception_contains_keys():
    """Programs and commands need them."""
    tree = TaskTree("made")
    tree.add_task(echo)
    result = tree.apply_async(draft=True)
    with translation.override("de"), pytest.raises(NotPossible) as caught:
        result.pause()
    assert str(caught.value) == f"run {result.id} is DRAFT: only a started run can be paused"
