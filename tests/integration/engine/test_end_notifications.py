"""PostgreSQL notifies listening sessions of the end of a run: each way to end, once, with the commit."""

import threading

import psycopg
import pytest
from django.db import connections, transaction

from django_tasktree import TaskTree, TreeResult
from django_tasktree.control import operations
from django_tasktree.engine.control.change import begin
from django_tasktree.engine.control.reset import lock_run
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.engine.lifecycle.stop import stop_run
from django_tasktree.engine.notifications import CHANNEL, LISTENERS
from django_tasktree.models import TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import RunState
from tests import databases, services
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, ref, tree_of
from tests.patience import PATIENCE
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


class Ear:
    """A session that listens."""

    def __init__(self, connection):
        self.connection = connection
        self.heard = []
        connection.add_notify_handler(lambda notification: self.heard.append(notification.payload))
        connection.execute(f"LISTEN {CHANNEL}")

    def hold_lock(self):
        """Tell the sessions that end runs that somebody listens."""
        self.connection.execute(f"SELECT pg_advisory_lock_shared({LISTENERS})")
        return self

    def payloads(self):
        """Return all payloads that were sent up to now: notifications arrive before the answer to a query."""
        self.connection.execute(f"NOTIFY {CHANNEL}, 'last'")
        assert self.heard.pop() == "last"
        return self.heard


@pytest.fixture
def ear(transactional_db):
    services.need(services.POSTGRESQL)
    with databases.active("postgresql"):
        parameters = connections["postgresql"].get_connection_params()
        with psycopg.connect(**parameters, autocommit=True) as connection:
            yield Ear(connection)


def _run(**options):
    """Insert a run with one node, which has started; return the IDs of both."""
    tree = TaskTree(**options)
    tree.add_task(echo)
    launched, _ = insert_run(tree)
    (node,) = launched.dispatches
    claim(ref(node.id), "w")
    return launched.run_id, node.id


def _finish(outcome, **options):
    run_id, node_id = _run(**options)
    finish(ref(node_id), outcome)
    settle(run_id, None)
    return run_id


def _revoke():
    run_id, _ = _run()
    operations.revoke(run_id)
    return run_id


def _stop_draft():
    launched, _ = insert_run(tree_of([]), draft=True)
    stop_run(launched.run_id, RunState.FAILURE, "too late")
    return launched.run_id


def _end_change():
    run_id, _ = _run()
    with transaction.atomic(using="postgresql"):
        change = begin(lock_run(run_id), Action.REVOKE, None)
    with transaction.atomic(using="postgresql"):
        change.end()
    return run_id


def _cancel_change():
    run_id = _finish(SUCCESS)
    with transaction.atomic(using="postgresql"):
        change = begin(lock_run(run_id), Action.RETRY, None)
    with transaction.atomic(using="postgresql"):
        change.cancel()
    return run_id


ENDS = {
    "success": (lambda: _finish(SUCCESS), "SUCCESS", 1),
    "failure": (lambda: _finish(FAILURE), "FAILURE", 1),
    "a failure that stops the run": (lambda: _finish(FAILURE, on_failure="stop"), "FAILURE", 1),
    "revoked": (_revoke, "REVOKED", 1),
    "a draft that is stopped": (_stop_draft, "FAILURE", 1),
    "revoked in batches": (_end_change, "REVOKED", 1),
    # Once when it succeeds, and once when it returns to this state.
    "a change that is cancelled": (_cancel_change, "SUCCESS", 2),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_way_to_end_notifies(ear, name):
    end, state, times = ENDS[name]
    ear.hold_lock()
    run_id = end()
    assert TreeResult(run_id).state == state
    assert ear.payloads() == [str(run_id)] * times


def test_nothing_is_sent_while_nobody_listens(ear):
    _finish(SUCCESS)
    _revoke()
    assert ear.payloads() == []
    # The lock with which each of them has looked is free again.
    ear.hold_lock()
    run_id = _finish(SUCCESS)
    assert ear.payloads() == [str(run_id)]


def test_the_lock_is_not_kept_until_the_end_of_the_transaction(ear):
    run_id, _ = _run()
    with transaction.atomic(using="postgresql"):
        stop_run(run_id, RunState.REVOKED)
        (locked,) = ear.connection.execute(f"SELECT pg_try_advisory_lock_shared({LISTENERS})").fetchone()
        assert locked


def test_a_rollback_sends_nothing(ear):
    ear.hold_lock()
    run_id, _ = _run()
    with transaction.atomic(using="postgresql"):
        assert stop_run(run_id, RunState.REVOKED) is not None
        transaction.set_rollback(True, using="postgresql")
    assert ear.payloads() == []
    assert TreeResult(run_id).state == "STARTED"


def test_what_ends_no_run_sends_nothing(ear):
    ear.hold_lock()
    tree = TaskTree()
    tree.add_task(echo)
    tree.add_task(echo)
    launched, _ = insert_run(tree)
    one = launched.dispatches[0]
    claim(ref(one.id), "w")
    finish(ref(one.id), SUCCESS)
    settle(launched.run_id, None)
    operations.pause(launched.run_id)
    assert ear.payloads() == []


def test_of_two_that_end_a_run_only_one_notifies(ear):
    """The second UPDATE waits for the first one, and then matches nothing."""
    ear.hold_lock()
    run_id, _ = _run()
    outcomes = []

    def stop():
        try:
            outcomes.append(stop_run(run_id, RunState.FAILURE))
        finally:
            connections.close_all()

    with transaction.atomic(using="postgresql"):
        stop_run(run_id, RunState.REVOKED)
        second = threading.Thread(target=stop)
        second.start()
    second.join(PATIENCE)
    assert outcomes == [None]
    assert TreeRun.objects.get(id=run_id).state == "REVOKED"
    assert ear.payloads() == [str(run_id)]
