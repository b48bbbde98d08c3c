"""Fixtures for several tiers of tests."""

import os
import re
import signal

import hypothesis
import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.utils.translation import deactivate

from django_tasktree.conf import KEYS, settings
from django_tasktree.reporting import query_cache
from testproject.celery import app as celery_app
from tests import celery_settings, databases, flushing, scheduling, services, workers

pytest_plugins = ["django_tasktree.testing.pytest_plugin"]


@pytest.fixture(params=list(services.DATABASES))
def database(request, transactional_db):
    """Run the test once on each database, with the app's models in it; yield its alias."""
    services.need(services.ALL_DATABASES[request.param])
    with databases.active(request.param) as alias:
        yield alias


@pytest.fixture(autouse=True)
def no_cached_queries(monkeypatch):
    """Disable the query cache, so that the duration of a query cannot decide what a test sees."""
    monkeypatch.setattr(query_cache, "CHEAP", float("inf"))


@pytest.fixture(autouse=True)
def no_columns(monkeypatch):
    """Unset the variable for which commands break lines."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def default_language():
    """Deactivate the language that a request has left active in its thread."""
    yield
    deactivate()


@pytest.fixture
def sharing(settings):
    """Let short nodes share messages, whatever the settings of the tests are."""
    settings.TASKTREE = {}


@pytest.fixture
def own_messages(monkeypatch):
    """Give each node a message of its own, for tests that deliver messages one by one.

    The default is changed, so that tests can override other settings.
    """
    monkeypatch.setitem(KEYS, "SHARE_MESSAGE_FOR", 0)
    vars(settings).pop("share_message_for", None)
    yield
    vars(settings).pop("share_message_for", None)


@pytest.fixture
def admin_client(admin_client):
    """Return the client of an administrator; the content types are cached, independently of earlier tests."""
    ContentType.objects.get_for_models(*apps.get_app_config("django_tasktree").get_models())
    return admin_client


@pytest.fixture
def app():
    """Return the Celery application."""
    return celery_app


@pytest.fixture
def eager(app):
    """Run nodes in this process, with Celery's ``task_always_eager``."""
    with celery_settings.changed(app, task_always_eager=True):
        yield app


#: Addresses and random UUIDs.
_UNSTABLE = re.compile(r" at 0x|-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-")
STACKS = {
    "sqlite-filesystem": ("default", services.FILESYSTEM),
    "postgresql-redis": ("postgresql", services.REDIS),
    "postgresql-rabbitmq": ("postgresql", services.RABBITMQ),
}


# A worker that runs for the whole session must not write its row during another test.
WITHOUT_HEARTBEATS = (
    '{"SWEEP": false, "HEARTBEAT_INTERVAL": 36000, "WORKER_LOST_AFTER": 72000, "UNKNOWN_TASK_RETRY_FOR": 0}'
)


@pytest.fixture(scope="session")
def prefork_workers(django_db_setup, django_db_blocker):
    """Yield a function that returns the prefork worker of a stack, which it starts on the first call."""
    running = {}

    def get(stack):
        alias, broker = STACKS[stack]
        services.need(services.ALL_DATABASES[alias], broker)
        if stack not in running:
            env = workers.environment(
                alias,
                broker.url,
                workers.queue_of(stack),
                TEST_ACCEPT_CONTENT="json,pickle",
                TEST_TASKTREE=WITHOUT_HEARTBEATS,
            )
            log = workers.log_dir() / f"{stack}.log"
            running[stack] = workers.Worker(log, env, name=workers.queue_of(stack)).wait_until_ready()
        return running[stack]

    yield get
    for stack, worker in running.items():
        worker.stop()
        workers.delete_queue(STACKS[stack][1], workers.queue_of(stack))


@pytest.fixture(params=[name for name, (alias, _) in STACKS.items() if alias in services.DATABASES])
def stack(request, prefork_workers, transactional_db, app):
    """Provide a real database, broker and prefork worker, and let this process launch trees on them."""
    alias, broker = STACKS[request.param]
    worker = prefork_workers(request.param)
    accepting = celery_settings.changed(app, accept_content=["json", "pickle"])
    queue = workers.queue_of(request.param)
    with databases.active(alias), workers.use_broker(app, broker, queue), accepting:
        try:
            yield worker
        finally:
            # What a failed test has left would delay all later tests.
            workers.purge_queue(broker, queue)


# Examples have no time limit, so that a busy machine fails no test.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("suite"), print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_configure():
    flushing.install()
    # A shell ignores SIGINT for background processes, and every process that this one starts would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)  # after the order is shuffled
def pytest_collection_modifyitems(items):
    for item in items:
        if _UNSTABLE.search(item.nodeid):
            raise pytest.UsageError(f"the ID of {item.nodeid} differs in each process: give the parameters ids=")
    items[:] = scheduling.long_tests_first(items)
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & {"database", "stack"}:
            item.add_marker(pytest.mark.django_db(transaction=True, databases="__all__"))
