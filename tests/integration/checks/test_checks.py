"""The system checks: each message is provoked; a valid project has none."""

import re
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from celery import shared_task
from django.core.checks import Error, Info
from django.core.checks import Warning as Warned
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections, router
from django.db.backends.dummy.base import DatabaseWrapper

from django_tasktree import TaskTree, checks, conf, register_tree
from django_tasktree.checks import check_all, databases
from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import NodeRun
from django_tasktree.testing import registered
from tests import celery_settings, documents
from tests.databases import active
from tests.sample import chunk_tasks, tasks
from tests.sample.tasks import echo


def found():
    """Return the messages of all checks by their short ID."""
    return {str(message.id).partition(".")[2]: message for message in check_all()}


@pytest.fixture
def replace_settings(monkeypatch):
    """Return a function that replaces the settings of the database to which trees are written."""

    def replace(**values):
        monkeypatch.setattr(connections[router.db_for_write(NodeRun)], "settings_dict", values)

    return replace


@pytest.mark.django_db(databases="__all__")
def test_a_valid_project_has_no_messages():
    assert found() == {}
    call_command("check", stdout=StringIO())


@pytest.mark.django_db(databases="__all__")
def test_the_checks_are_registered_with_django(settings):
    settings.TASKTREE = {"SWEEP": "yes"}
    with pytest.raises(SystemCheckError, match="E001"):
        call_command("check", "django_tasktree")
    call_command("check", "auth", stdout=StringIO())


@pytest.mark.parametrize(
    ("values", "text", "hint"),
    [
        ([("SWEEP", True)], "not a dict", "settings.rst"),
        ({"SWEEPS": True}, "no setting 'SWEEPS'", "Did you mean 'SWEEP'?"),
        ({"COLOUR": True}, "no setting 'COLOUR'", "Its settings are BATCH_SIZE"),
        ({"SWEEP": 1}, "TASKTREE['SWEEP'] is 1", "True or False"),
        ({"SWEEP": None}, "TASKTREE['SWEEP'] is None", "True or False"),
        ({"BATCH_SIZE": 2.5}, "TASKTREE['BATCH_SIZE'] is 2.5", "a whole number above 0"),
        ({"BATCH_SIZE": 0}, "TASKTREE['BATCH_SIZE'] is 0", "a whole number above 0"),
        ({"HEARTBEAT_INTERVAL": "5"}, "is '5'", "a number above 0"),
        ({"RETENTION": -1}, "TASKTREE['RETENTION'] is -1", "of at least 0, or None"),
        ({"MAX_ARGS_SIZE": True}, "is True", "a whole number above 0, or None"),
        ({"MAY_VIEW_RUN": "no.such.function"}, "is 'no.such.function'", "a function of a request and a run"),
        ({"MAY_VIEW_RUN": True}, "is True", "a function of a request and a run"),
        ({"MAY_CONTROL_RUN": "django_tasktree.__version__"}, "is 'django_tasktree.__version__'", "its dotted path"),
    ],
)
def test_e001_invalid_settings(settings, values, text, hint):
    settings.TASKTREE = values
    message = found()["E001"]
    assert isinstance(message, Error)
    assert text in message.msg
    assert hint in str(message.hint)


@pytest.mark.parametrize(
    ("values", "name", "text"),
    [
        (None, "batch_size", "TASKTREE is None: it must be a dict"),
        ([], "batch_size", r"TASKTREE is \[\]: it must be a dict"),
        ({1: 1, "A": 1}, "batch_size", "TASKTREE has no setting 1; its settings are BATCH_SIZE"),
        ({"BATCH_SIZE": "500"}, "batch_size", r"TASKTREE\['BATCH_SIZE'\] is '500': it must be a whole number above 0"),
        ({"WAIT_INTERVAL": None}, "wait_interval", r"\['WAIT_INTERVAL'\] is None: it must be a number above 0$"),
        ({"MAX_ARGS_SIZE": 2.5}, "max_args_size", "is 2.5: it must be a whole number above 0, or None"),
        ({"SWEEP": "no"}, "sweep", "is 'no': it must be True or False"),
        ({"RETENTION": "30"}, "retention", "is '30': it must be a number of days of at least 0, or None"),
        ({"MAY_VIEW_RUN": 5}, "may_view_run", "is 5: it must be a function of a request and a run"),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error_in_processes_that_run_no_checks(settings, values, name, text):
    settings.TASKTREE = values
    with pytest.raises(ImproperlyConfigured, match=text):
        getattr(conf.settings, name)


def test_valid_settings(settings):
    settings.TASKTREE = {"RETENTION": 0, "MAX_ARGS_SIZE": None, "HEARTBEAT_INTERVAL": 1, "SWEEP": False}
    assert found() == {}


def test_e002_workers_lost_before_their_next_heartbeat(settings):
    settings.TASKTREE = {"WORKER_LOST_AFTER": 9, "HEARTBEAT_INTERVAL": 5}
    assert isinstance(found()["E002"], Error)
    settings.TASKTREE = {"WORKER_LOST_AFTER": 10, "HEARTBEAT_INTERVAL": 5}
    assert found() == {}


class Split:
    """Route one model to another database."""

    def db_for_write(self, model, **_):
        return "elsewhere" if model.__name__ == "HistoryEntry" else "default"


def test_e003_models_in_different_databases(settings):
    settings.DATABASE_ROUTERS = ["tests.integration.checks.test_checks.Split"]
    message = found()["E003"]
    assert isinstance(message, Error)
    assert "HistoryEntry: elsewhere" in message.msg


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({}, ["IMMEDIATE", "WAL"]),
        ({"transaction_mode": "IMMEDIATE"}, ["WAL"]),
        ({"init_command": "PRAGMA journal_mode = wal;"}, ["IMMEDIATE"]),
        ({"transaction_mode": "EXCLUSIVE", "init_command": "PRAGMA journal_mode=WAL"}, []),
    ],
)
def test_w001_sqlite(replace_settings, options, missing):
    replace_settings(ENGINE="django.db.backends.sqlite3", OPTIONS=options)
    messages = found()
    assert set(messages) == ({"W001"} if missing else set())
    if missing:
        assert isinstance(messages["W001"], Warned)
        assert all((word in str(messages["W001"].hint)) == (word in missing) for word in ("IMMEDIATE", "WAL"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, set()),
        ({"isolation_level": "read committed"}, set()),
        ({"isolation_level": "repeatable read"}, {"W002"}),
        ({"isolation_level": None}, {"W002"}),
    ],
)
def test_w002_mysql(replace_settings, options, expected):
    replace_settings(ENGINE="django.db.backends.mysql", OPTIONS=options)
    assert set(found()) == expected


def test_the_alias_is_that_of_the_database_that_is_written(settings):
    """The database of the models need not be the default one."""
    with active("default"):
        assert write_alias() == "default"
    settings.DATABASE_ROUTERS = ["tests.integration.checks.test_checks.Elsewhere"]
    assert write_alias() == "elsewhere"


class Elsewhere:
    """Route all models to another database."""

    def db_for_write(self, _model, **_):
        return "elsewhere"


def test_w003_connections_that_are_closed_after_each_task(app, settings):
    settings.CELERY_DB_REUSE_MAX = None
    assert isinstance(found()["W003"], Warned)


@pytest.mark.parametrize(
    ("serializer", "backend", "expected"),
    [("json", "django-db", {"W004"}), ("pickle", "django-db", set()), ("json", None, set())],
)
def test_w004_pickle_that_the_backend_can_not_write(app, serializer, backend, expected):
    values = {"accept_content": ["json", "pickle"], "result_serializer": serializer, "result_backend": backend}
    with celery_settings.changed(app, **values):
        assert set(found()) == expected


@pytest.mark.parametrize(
    ("serializer", "accepted", "expected"),
    [
        ("msgpack", ["msgpack"], {"W008"}),
        ("yaml", ["yaml"], {"W008"}),
        ("msgpack", ["msgpack", "json"], set()),
        ("msgpack", ["msgpack", "application/json"], set()),
        ("json", ["json"], set()),
    ],
)
def test_w008_references_that_can_not_be_sent(app, serializer, accepted, expected):
    with celery_settings.changed(app, task_serializer=serializer, accept_content=accepted):
        assert set(found()) == expected


@pytest.mark.parametrize(("debug", "expected"), [(False, {"W005"}), (True, set())])
def test_w005_eager_in_production(eager, settings, debug, expected):
    settings.DEBUG = debug
    assert set(found()) == expected


@shared_task
def unsupported():
    """Take no part in trees: it is not a task with callbacks."""


def of_unsupported_tasks():
    tree = TaskTree()
    tree.add_task(echo).gather(unsupported)
    tree.push(unsupported.s())
    tree.add_task(tasks.echo)
    tree.add_task(make_task())
    tree.add_task("by.name")
    return tree


def make_task():
    raise AssertionError("definitions are not called")


def of_supported():
    tree = TaskTree()
    tree.add_task(echo)
    return tree


@registered(only=True)
def test_w006_definitions_with_unsupported_tasks():
    register_tree(of_supported)
    register_tree("no source")(eval("lambda: None"))
    assert found() == {}
    register_tree(of_unsupported_tasks)
    message = found()["W006"]
    assert isinstance(message, Warned)
    assert "The definition 'of-unsupported-tasks' (" in message.msg
    assert "unsupported'" in message.msg


urlpatterns = []


def test_w007_launch_views_without_urls(settings):
    from django.views.generic import FormView

    from django_tasktree.views import TreeLaunchView

    class ToProgressPage(TreeLaunchView, FormView):
        pass

    class ToOtherPage(ToProgressPage):
        success_url = "/"

    assert found() == {}
    settings.ROOT_URLCONF = __name__
    messages = [message.msg for message in check_all()]
    assert any("ToProgressPage redirects to the progress page" in each for each in messages)
    assert not any("ToOtherPage" in each for each in messages)
    settings.ROOT_URLCONF = None
    assert found() == {}


@pytest.fixture
def runs_database():
    """Configure a PostgreSQL database with the alias ``runs``, without a server."""
    connections["runs"] = DatabaseWrapper({"ENGINE": "django.db.backends.postgresql"}, "runs")
    yield
    del connections["runs"]


class RunsApart:
    """Route the models of the app to a database of their own."""

    def db_for_write(self, model, **hints):
        return "runs" if model._meta.app_label == "django_tasktree" else "default"


def test_w009_atomic_tasks_that_write_to_another_database(settings, monkeypatch, runs_database):
    settings.DATABASE_ROUTERS = [RunsApart()]
    message = found()["W009"]
    assert "the database 'runs'" in message.msg
    assert "orders.Cascaded" in message.msg
    assert re.search(r"\([\w.]+, .*, .* and \d+ more\)", message.msg)
    monkeypatch.setattr(databases, "current_app", SimpleNamespace(tasks={echo.name: echo}))
    assert found() == {}


@pytest.mark.parametrize(
    ("retention", "expires", "expected"),
    [
        (30, timedelta(days=1), {"I001"}),
        (30, 86_400, {"I001"}),
        (1, timedelta(days=2), set()),
        (None, timedelta(days=1), set()),
        (30, None, set()),
    ],
)
def test_i001_results_that_expire_before_their_runs(app, settings, retention, expires, expected):
    settings.TASKTREE = {"RETENTION": retention}
    with celery_settings.changed(app, result_expires=expires):
        messages = found()
    assert set(messages) == expected
    if expected:
        assert isinstance(messages["I001"], Info)


def test_each_message_is_documented_and_tested():
    page = (documents.DOCS / "checks.rst").read_text(encoding="utf-8")
    documented = set(re.findall(r"``django_tasktree\.([EWI]\d{3})``", page))
    tested = {name.split("_")[1].upper() for name in globals() if re.match(r"test_[ewi]\d{3}_", name)}
    numbers = {match[1] for check in checks.CHECKS if (match := re.match(r"Check ([EWI]\d{3}): ", str(check.__doc__)))}
    assert documented == tested == numbers


@pytest.mark.parametrize(
    ("task", "values", "text"),
    [
        (chunk_tasks.double, {"chunk": 0}, "chunk=0 of task 'tests.sample.chunk_tasks.double' is not a whole number"),
        (chunk_tasks.double, {"atomic": True}, "both chunk= and atomic="),
        (chunk_tasks.double, {"on_worker_lost": "fail"}, "both chunk= and on_worker_lost='fail'"),
        (echo, {"chunk": 5}, "chunk= of task 'tests.sample.tasks.echo' has no effect"),
    ],
)
@pytest.mark.django_db(databases="__all__")
def test_e004_a_chunk_that_annotations_make_impossible(monkeypatch, task, values, text):
    for name, value in values.items():
        monkeypatch.setattr(task, name, value)
    message = found()["E004"]
    assert isinstance(message, Error)
    assert text in message.msg
    assert message.hint is not None
