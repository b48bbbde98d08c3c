"""The TaskResult of a node equals what django-celery-results writes, and is written together with the outcome."""

import json
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from django.db import connections, router
from django.test.utils import CaptureQueriesContext
from django_celery_results.backends import DatabaseBackend
from django_celery_results.models import TaskResult

from django_tasktree.dispatch.message import HEADER
from django_tasktree.encoding import serialization
from django_tasktree.models import NodeRun
from django_tasktree.worker.execution import run_attempt
from tests import celery_settings
from tests.integration.engine.test_query_counts import TRANSACTION
from tests.integration.engine.trees import insert_run, ref, tree_of
from tests.sample.tasks import Report, echo

_OWN = {"id", "task_id", "task_args", "task_kwargs", "date_created", "date_done", "date_started"}
COLUMNS = [field.name for field in TaskResult._meta.fields if field.name not in _OWN]
VALUES = [
    None,
    {"text": "ü ' \" %s", "number": 1.5},
    [Decimal("1.10"), datetime(2026, 1, 2, tzinfo=timezone.utc)],
]


@pytest.fixture
def backend(app, monkeypatch):
    backend = DatabaseBackend(app)
    monkeypatch.setattr(type(echo._get_current_object()), "backend", backend)  # type: ignore[attr-defined]
    monkeypatch.setitem(app.conf, "result_extended", True)
    return backend


@pytest.fixture
def begin():
    """Yield a function that begins a request of the task, as a worker does."""

    def push(task_id, **more):
        header = {"id": str(task_id), "task": echo.name, "argsrepr": "(1,)", "hostname": "w@h", "headers": {HEADER: {}}}
        echo.push_request(**(header | {"is_eager": False, "called_directly": False, "children": []} | more))
        begun.append(task_id)
        return echo.request

    begun = []
    yield push
    for _ in begun:
        echo.pop_request()


def _node(children=0):
    launched, _ = insert_run(tree_of([[] for _ in range(children)]))
    return ref(launched.dispatches[0].id)


@pytest.mark.parametrize("value", VALUES, ids=["nothing", "plain", "typed"])
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("children", [0, 2], ids=["leaf", "parent"])
def test_the_row_equals_that_of_django_celery_results(database, backend, begin, value, known, children):
    node, theirs = _node(children), str(uuid4())
    if known:
        for task_id in (theirs, str(node.task_id)):
            backend.store_result(task_id, {"pid": 1}, states.STARTED, request=begin(task_id))
    backend.store_result(theirs, value, states.SUCCESS, request=begin(theirs))
    request = begin(node.task_id)
    assert run_attempt(echo, node, [value], {}, echo.run) == value
    assert request.ignore_result is True
    rows = TaskResult.objects.filter(task_id__in=[theirs, node.task_id])
    one, other = rows.values(*COLUMNS)
    assert one == other
    assert one["status"] == "SUCCESS"
    assert backend.get_result(str(node.task_id)) == backend.get_result(theirs)
    assert {row.date_started is None for row in rows} == {not known}  # type: ignore[attr-defined]
    assert all(row.date_created <= row.date_done for row in rows)  # type: ignore[attr-defined]


@pytest.mark.parametrize("children", [0, 2], ids=["leaf", "parent"])
def test_the_row_takes_at_most_one_statement(database, backend, begin, children):
    counts = []
    for ignored in (True, False):
        node = _node(children)
        begin(node.task_id, ignore_result=ignored)
        with CaptureQueriesContext(connections[router.db_for_write(TaskResult)]) as queries:
            run_attempt(echo, node, [1], {}, echo.run)
        counts.append(len([query for query in queries if not query["sql"].startswith(TRANSACTION)]))
    assert counts[1] - counts[0] == (0 if database == "postgresql" else 1)


def test_a_replaced_attempt_leaves_no_row(database, backend, begin, monkeypatch):
    node = _node()

    def replace_attempt(value):
        NodeRun.objects.filter(id=node.id).update(task_id=uuid4())
        return value

    monkeypatch.setattr(type(echo._get_current_object()), "run", staticmethod(replace_attempt))  # type: ignore[attr-defined]
    begin(node.task_id)
    with pytest.raises(Exception, match="out of date"):
        run_attempt(echo, node, [1], {}, echo.run)
    assert not TaskResult.objects.exists()


def test_a_request_keeps_its_meta(database, backend, begin):
    node = _node()
    begin(node.task_id, meta={"order": 7})
    run_attempt(echo, node, [1], {}, echo.run)
    assert json.loads(TaskResult.objects.get().meta) == {"order": 7, "children": []}


def test_a_row_that_does_not_fit_is_left_to_celery(database, backend, begin, caplog):
    if database == "default":
        pytest.skip("SQLite takes texts of any length")
    node = _node()
    request = begin(node.task_id, hostname="w" * 120)
    run_attempt(echo, node, [1], {}, echo.run)
    assert NodeRun.objects.get(id=node.id).state == "SUCCESS"
    assert not TaskResult.objects.exists()
    assert not request.ignore_result
    assert "left to Celery" in caplog.text


def test_a_value_that_only_pickle_can_write_is_left_to_celery(database, backend, begin, caplog, app):
    node = _node()
    request = begin(node.task_id)
    with celery_settings.changed(app, accept_content=["json", "pickle"]):
        run_attempt(echo, node, [Report("kept")], {}, echo.run)
        assert serialization.loads(NodeRun.objects.get(id=node.id).result).name == "kept"
    assert not TaskResult.objects.exists()
    assert not request.ignore_result
    assert "CELERY_RESULT_SERIALIZER" in caplog.text


class _Derived(DatabaseBackend):  # type: ignore[misc]
    pass


@pytest.mark.parametrize("reason", ["ignored", "eager", "chord", "derived backend"])
def test_results_that_are_left_to_celery(database, backend, begin, app, monkeypatch, reason):
    more: dict[str, dict[str, Any]] = {
        "ignored": {"ignore_result": True},
        "eager": {"is_eager": True},
        "chord": {"chord": {"task": "x"}},
    }
    if reason == "derived backend":
        monkeypatch.setattr(type(echo._get_current_object()), "backend", _Derived(app))  # type: ignore[attr-defined]
    node = _node()
    request = begin(node.task_id, **more.get(reason, {}))
    before = request.ignore_result
    run_attempt(echo, node, [1], {}, echo.run)
    assert not TaskResult.objects.exists()
    assert request.ignore_result == before
