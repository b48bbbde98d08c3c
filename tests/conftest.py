"""Fixtures that more than one tier of tests uses."""

import os
import signal

import hypothesis
import pytest

from django_tasktree import recent
from testproject.celery import app as celery_app
from tests import celery_settings, databases, emptying, scheduling, services, workers

pytest_plugins = ["django_tasktree.testing.pytest_plugin"]


@pytest.fixture(params=list(services.DATABASES))
def database(request, transactional_db):
    """Run the test once on each database; the app's models live there."""
    services.need(services.DATABASES[request.param])
    with databases.active(request.param) as alias:
        yield alias


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch):
    """Pages show what is there now: how long a query takes must not decide what a test sees."""
    monkeypatch.setattr(recent, "CHEAP", float("inf"))


@pytest.fixture
def app():
    return celery_app


@pytest.fixture
def eager(app):
    """Run nodes in this process."""
    with celery_settings.changed(app, task_always_eager=True):
        yield app


STACKS = {
    "sqlite-filesystem": ("default", services.FILESYSTEM),
    "postgresql-redis": ("postgresql", services.REDIS),
    "postgresql-rabbitmq": ("postgresql", services.RABBITMQ),
}


# A worker that lives as long as the session must not write its row into the middle of another test.
WITHOUT_HEARTBEATS = (
    '{"SWEEP": false, "HEARTBEAT_INTERVAL": 36000, "WORKER_LOST_AFTER": 72000, "UNKNOWN_TASK_RETRY_FOR": 0}'
)


@pytest.fixture(scope="session")
def prefork_workers(django_db_setup, django_db_blocker):
    """One prefork worker for each stack, started when it is first asked for."""
    running = {}

    def get(stack):
        alias, broker = STACKS[stack]
        services.need(services.DATABASES[alias], broker)
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


@pytest.fixture(params=list(STACKS))
def stack(request, prefork_workers, transactional_db, app):
    """A real database, broker and prefork worker; this process launches trees on them."""
    alias, broker = STACKS[request.param]
    worker = prefork_workers(request.param)
    accepting = celery_settings.changed(app, accept_content=["json", "pickle"])
    with databases.active(alias), workers.use_broker(app, broker, workers.queue_of(request.param)), accepting:
        yield worker


# A busy machine is no defect: examples have no time limit.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("suite"), print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_configure():
    emptying.install()
    # A shell ignores SIGINT in what it runs in the background, and every process that this one starts would too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)  # after the order was shuffled
def pytest_collection_modifyitems(items):
    items[:] = scheduling.long_tests_first(items)
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & {"database", "stack"}:
            item.add_marker(pytest.mark.django_db(transaction=True, databases="__all__"))
