"""Workers and callers that are connected to PostgreSQL through PgBouncer in transaction mode."""

import pytest
from django.db import connections

from django_tasktree.client import listener
from django_tasktree.engine.statement_limits import limited_statements
from django_tasktree.models import NodeRun, Worker
from django_tasktree.recovery.sweep import sweep
from tests import databases, services
from tests.faults.crowd import crowd, wide_and_deep_tree
from tests.faults.pooler import SESSIONS, pgbouncer
from tests.patience import PATIENCE, until
from tests.sample.atomic_tasks import effect
from tests.sample.models import Effect

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True, databases="__all__")]
ALIAS = "postgresql"
NODES = 60
#: On a busy machine, no worker must count as lost.
PATIENT = {"WORKER_LOST_AFTER": 3600, "RESEND_AFTER": 3600}


@pytest.fixture
def pooler(transactional_db):
    services.need(services.POSTGRESQL)
    with pgbouncer(ALIAS) as pooler:
        yield pooler


@pytest.fixture
def nobody_listens():
    """Close the connections of earlier tests, and forget what they have learnt of the database."""
    listener.stop_listening()
    listener._listeners.clear()
    yield
    listener.stop_listening()
    listener._listeners.clear()


@pytest.mark.parametrize("binding", [{}, {"TEST_PREPARE_THRESHOLD": ""}], ids=["client", "server"])
def test_a_tree_runs_through_a_pooler(app, pooler, nobody_listens, caplog, binding):
    caplog.set_level("INFO", logger=listener.__name__)
    environment = {"DATABASE_URL": pooler.url, "TEST_POOLER": "1", **binding}
    with crowd(app, ALIAS, services.REDIS, "pooler", PATIENT, environment=environment, concurrency=4) as workers:
        workers.start()
        result = wide_and_deep_tree(NODES, task=effect).apply_async()
        assert result.wait(PATIENCE) == "SUCCESS"
        nodes = NodeRun.objects.filter(run_id=result.id)
        assert set(nodes.values_list("state", "settled", "attempts")) == {("SUCCESS", True, 1)}
        assert Effect.objects.count() == nodes.count()
        # Heartbeats and the sweep go through the pooler too.
        last = Worker.objects.get().last_seen
        until(lambda: Worker.objects.get().last_seen > last)
        with limited_statements():
            assert not sweep(app)
        assert workers.logged("Traceback") == 0
    mine = [row for row in pooler.shown("SERVERS") if row["database"] == connections[ALIAS].settings_dict["NAME"]]
    assert 0 < len(mine) <= SESSIONS
    assert not any("until notifications arrive" in message for message in caplog.messages)


def test_a_caller_that_waits_polls(pooler, nobody_listens, settings, caplog):
    """A session that is left listening would send notifications to its next user."""
    caplog.set_level("INFO", logger=listener.__name__)
    settings.TASKTREE = {"WAIT_INTERVAL": 0.03, "WAIT_INTERVAL_MAX": 0.03}
    with databases.active(ALIAS):
        listener.listen(1)
        until(lambda: "a connection pooler" in caplog.text)
        assert not listener.listen(1)
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                "WHERE locktype = 'advisory' AND datname = current_database()"
            )
            assert cursor.fetchone() == (0,)
