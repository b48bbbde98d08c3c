"""On PostgreSQL, a waiting process is notified of the end of a run; whatever goes wrong with it, polling remains."""

import asyncio
import io
import os
import socket
import subprocess
import sys
import textwrap
import threading

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from rich.console import Console

from django_tasktree import NodeResult, TaskTree, TreeResult
from django_tasktree.client import listener, waiting
from django_tasktree.client.listener import APPLICATION, stop_listening
from django_tasktree.engine.lifecycle.stop import stop_run
from django_tasktree.engine.transitions import runs
from django_tasktree.exceptions import WaitTimeout
from django_tasktree.management import follow
from django_tasktree.management.display.views import QuietView
from django_tasktree.states import RunState
from tests import databases, services
from tests.integration.engine.trees import insert_run, tree_of
from tests.patience import PATIENCE, until
from tests.sample.tasks import wait_for_file
from tests.workers import database_url

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

ALIAS = "postgresql"
#: Without notifications, those who wait look only once.
NEVER_POLL = {"WAIT_INTERVAL": 36_000, "WAIT_INTERVAL_MAX": 36_000}
POLL_OFTEN = {"WAIT_INTERVAL": 0.03, "WAIT_INTERVAL_MAX": 0.03}


@pytest.fixture(autouse=True)
def nobody_listens():
    """Close the connections of earlier tests, which may have waited for runs too."""
    stop_listening()
    listener._listeners.clear()
    yield
    stop_listening()
    listener._listeners.clear()


@pytest.fixture
def postgresql(transactional_db):
    services.need(services.POSTGRESQL)
    with databases.active(ALIAS):
        yield ALIAS


class Waiter(threading.Thread):
    """A thread that waits and counts its queries."""

    def __init__(self, wait):
        super().__init__(daemon=True)
        self.wait = wait
        self.looks = 0
        self.start()

    def run(self):
        def count(execute, *args):
            try:
                return execute(*args)
            finally:
                self.looks += 1

        try:
            with connections[ALIAS].execute_wrapper(count):
                self.outcome = self.wait()
        finally:
            connections.close_all()

    def ended(self):
        """Return the outcome of the wait."""
        self.join(PATIENCE)
        return self.outcome

    def until_it_listens(self):
        """Wait until the first waiter has looked once more because the listener is ready."""
        until(lambda: hears() and self.looks == 2)
        return self

    def until_it_sleeps(self):
        """Wait until a further waiter has looked."""
        until(lambda: self.looks == 1)
        return self


def launched():
    """Return the handle of a run that does not end by itself."""
    return TreeResult(insert_run(tree_of([]))[0].run_id)


def end(result):
    """End a run as another process does: without a signal in this one."""
    assert stop_run(result.id, RunState.REVOKED) is not None


def hears():
    return ALIAS in listener._listeners and listener._listeners[ALIAS].hears


def sessions():
    """Return the process IDs of the sessions that listen in the database."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
            [APPLICATION],
        )
        return [pid for (pid,) in cursor.fetchall()]


def test_the_end_is_noticed_without_polling(postgresql, settings):
    settings.TASKTREE = NEVER_POLL
    result = launched()
    waiter = Waiter(result.wait).until_it_listens()
    end(result)
    assert waiter.ended() == "REVOKED"
    assert waiter.looks == 3


@pytest.mark.worker
@pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)
def test_a_worker_notifies(postgresql, stack, settings, tmp_path):
    settings.TASKTREE = NEVER_POLL
    tree = TaskTree()
    tree.add_task(wait_for_file, [str(tmp_path / "go")])
    waiter = Waiter(tree.apply_async().wait).until_it_listens()
    (tmp_path / "go").touch()
    assert waiter.ended() == "SUCCESS"
    assert waiter.looks == 3


def test_a_run_that_ends_before_the_process_listens_is_noticed(postgresql, settings, monkeypatch):
    """After LISTEN, all who wait look once more."""
    settings.TASKTREE = NEVER_POLL
    result = launched()
    connected = listener.Listener._connected

    def end_first(self, database):
        try:
            end(result)
        finally:
            connections.close_all()
        return connected(self, database)

    monkeypatch.setattr(listener.Listener, "_connected", end_first)
    waiter = Waiter(result.wait)
    assert (waiter.ended(), waiter.looks) == ("REVOKED", 2)


def test_the_end_of_the_run_ends_the_wait_for_its_nodes(postgresql, settings):
    settings.TASKTREE = NEVER_POLL
    result = launched()
    node = NodeResult(result[0].id)
    joining = Waiter(lambda: result.join(propagate=False)).until_it_listens()
    getting = Waiter(lambda: node.get(propagate=False)).until_it_sleeps()
    end(result)
    assert (joining.ended(), getting.ended()) == ([None], None)
    # One more look, and one query for the results.
    assert (joining.looks, getting.looks) == (4, 3)


def test_a_coroutine_is_notified(postgresql, settings):
    settings.TASKTREE = NEVER_POLL
    result = launched()

    async def wait():
        try:
            return await result.await_finished()
        finally:
            await sync_to_async(connections.close_all)()

    waiter = Waiter(lambda: asyncio.run(wait()))
    until(hears)
    end(result)
    assert waiter.ended() == "REVOKED"


def test_those_who_wait_share_a_connection_and_are_roused_one_by_one(postgresql, settings):
    settings.TASKTREE = NEVER_POLL
    results = [launched() for _ in range(5)]
    waiters = [Waiter(results[0].wait).until_it_listens()]
    waiters += [Waiter(result.wait).until_it_sleeps() for result in results[1:]]
    assert len(sessions()) == 1
    for result, waiter in zip(results, waiters, strict=True):
        end(result)
        assert waiter.ended() == "REVOKED"
    assert [waiter.looks for waiter in waiters] == [3, 2, 2, 2, 2]
    assert len(sessions()) == 1


def test_a_command_that_follows_a_run_is_notified(postgresql, monkeypatch):
    monkeypatch.setattr(follow, "_INTERVAL", 36_000)
    result = launched()
    view = QuietView(Console(file=io.StringIO()), result.id)
    waiter = Waiter(lambda: follow.follow(view, timeout=None, check=lambda: None).state)
    until(lambda: hears() and waiter.looks == 6)
    end(result)
    assert (waiter.ended(), waiter.looks) == ("REVOKED", 9)


def test_a_broken_connection_is_opened_again(postgresql, settings, monkeypatch, caplog):
    monkeypatch.setattr(listener, "_RETRY", 0.01)
    settings.TASKTREE = NEVER_POLL
    result = launched()
    waiter = Waiter(result.wait).until_it_listens()
    (pid,) = sessions()
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    until(lambda: sessions() not in ([], [pid]) and hears())
    end(result)
    assert waiter.ended() == "REVOKED"
    assert "waiting callers poll database 'postgresql' until notifications arrive" in caplog.text


def test_polling_goes_on_while_the_connection_is_broken(postgresql, settings, monkeypatch):
    monkeypatch.setattr(listener, "_SUBSCRIBE", "SELECT 1 / 0")
    monkeypatch.setattr(listener, "_RETRY", 0.01)
    settings.TASKTREE = POLL_OFTEN
    result = launched()
    waiter = Waiter(result.wait)
    until(lambda: waiter.looks > 5)
    assert not hears()
    end(result)
    assert waiter.ended() == "REVOKED"


@pytest.mark.parametrize(("owner", "name"), [(socket, "socketpair"), (threading.Thread, "start")])
def test_polling_goes_on_without_a_thread(postgresql, settings, monkeypatch, caplog, owner, name):
    """The process may have no more threads or files; the listener tries again, but not at each poll."""
    settings.TASKTREE = POLL_OFTEN
    monkeypatch.setattr(listener, "_RETRY_MAX", 36_000)
    result = launched()
    original = getattr(owner, name)

    def refuse(*args, **kwargs):
        if name == "start" and not args[0].name.startswith("tasktree-listener"):
            return original(*args, **kwargs)
        raise (RuntimeError if name == "start" else OSError)("no more")

    monkeypatch.setattr(owner, name, refuse)
    waiter = Waiter(result.wait)
    until(lambda: waiter.looks > 5)
    end(result)
    assert waiter.ended() == "REVOKED"
    assert [record.getMessage() for record in caplog.records] == ["waiting callers poll database 'postgresql': no more"]


def test_no_notification_arrives(postgresql, settings, monkeypatch, caplog):
    """The listener trusts only a connection on which its own notification has arrived."""
    monkeypatch.setattr(listener, "_SUBSCRIBE", "SELECT 1")
    monkeypatch.setattr(listener, "_PATIENCE", 0.01)
    settings.TASKTREE = POLL_OFTEN
    result = launched()
    waiter = Waiter(result.wait)
    until(lambda: "no notification arrived" in caplog.text)
    assert not hears()
    end(result)
    assert waiter.ended() == "REVOKED"


def test_a_connection_pooler_is_recognised(postgresql, settings, monkeypatch, caplog):
    """A pooler gives its clients process IDs of its own; its sessions must not be left listening."""
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda self: 4711))
    caplog.set_level("INFO", logger=listener.__name__)
    settings.TASKTREE = POLL_OFTEN
    result = launched()
    waiter = Waiter(result.wait)
    until(lambda: "a connection pooler" in caplog.text)
    until(lambda: sessions() == [])
    looks = waiter.looks
    until(lambda: waiter.looks > looks + 2)
    assert sessions() == []
    end(result)
    assert waiter.ended() == "REVOKED"
    assert caplog.text.count("a connection pooler") == 1


def test_the_setting_turns_it_off(postgresql, settings):
    settings.TASKTREE = {**POLL_OFTEN, "LISTEN": False}
    result = launched()
    waiter = Waiter(result.wait)
    until(lambda: waiter.looks > 3)
    assert listener._listeners == {}
    end(result)
    assert waiter.ended() == "REVOKED"


@pytest.mark.parametrize("alias", services.DATABASES)
def test_short_waits_and_other_databases_open_no_connection(alias, transactional_db):
    services.need(services.DATABASES[alias])
    with databases.active(alias):
        assert not listener.listen(listener.SHORT if alias == ALIAS else 3600)
        assert listener._listeners == {}


def test_the_connection_is_closed_when_nobody_waits(postgresql, settings, monkeypatch):
    monkeypatch.setattr(listener, "LINGER", 0)
    settings.TASKTREE = POLL_OFTEN
    result = launched()
    waiter = Waiter(result.wait)
    until(hears)
    end(result)
    assert waiter.ended() == "REVOKED"
    until(lambda: sessions() == [])
    until(lambda: listener._listeners[ALIAS]._thread is None)


def test_the_connection_does_not_prevent_that_a_database_is_dropped(postgresql):
    """Django connects without a database then."""
    listener.listen(3600)
    until(hears)
    assert len(sessions()) == 1
    with connections[ALIAS]._nodb_cursor():
        pass
    until(lambda: sessions() == [])
    listener.listen(3600)
    until(hears)


def test_those_who_can_rely_on_notifications_poll_less(monkeypatch):
    """Only those who wait for nothing but the end of a run can: nodes do not notify."""
    monkeypatch.setattr("django_tasktree.client.waiting.time.monotonic", lambda: 1000.0)
    for hears_notifications, is_run, times in ((True, True, 10), (True, False, 1), (False, True, 1)):
        monkeypatch.setattr(waiting, "listen", lambda *pauses, hears=hears_notifications: hears)
        awaited = waiting.Awaited(lambda: None, "it", is_run=is_run)
        assert waiting._pause(awaited, 0.0, None) == 0.25 * times
        assert waiting._pause(awaited, 0.0, 1000.1) == pytest.approx(0.1)
        assert waiting._pause(awaited, 999.0, None) == pytest.approx(0.05 * times)
        with pytest.raises(WaitTimeout):
            waiting._pause(awaited, 0.0, 1000.0)


FORKING = """
import gc, os, sys, threading, time
import django
django.setup()
from django_tasktree.client import listener, sleepers

def heard(run_id):
    roused = threading.Event()
    with sleepers.sleeping(lambda: run_id, roused.set):
        print("listening", flush=True)
        return roused.wait(60)

def until_it_hears():
    while not listener.listen(3600):
        time.sleep(0.01)

until_it_hears()
pid = os.fork()
if pid == 0:
    assert listener._listeners == {}
    gc.collect()
    until_it_hears()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
parent = next(iter(listener._listeners.values()))
assert parent.hears
import uuid
print(heard(uuid.UUID(sys.argv[1])) and parent.hears)
"""


def test_a_forked_process_leaves_the_connection_of_its_parent_alone(postgresql):
    """The child opens its own, and the parent's is usable after the child has ended."""
    result = launched()
    script = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORKING), str(result.id)],
        env={
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(ALIAS),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert script.stdout is not None
    assert script.stderr is not None
    with script:
        assert script.stdout.readline() == "listening\n", script.stderr.read()
        end(result)
        output, errors = script.communicate(timeout=PATIENCE)
    assert (output, errors, script.returncode) == ("True\n", "", 0)
    assert runs().get(id=result.id).state == "REVOKED"
