"""The real engine, publisher and task code in one process, with a broker whose messages the test controls.

Celery's own tracing runs each message, as in a pool process. The test decides when time passes and processes die.
"""

from contextlib import ExitStack, contextmanager
from datetime import timedelta
from unittest import mock
from uuid import UUID, uuid4

from celery.app.trace import trace_task_ret
from celery.exceptions import WorkerTerminate
from django.db import connections
from django.db.models import F
from kombu import Queue

from django_tasktree.builder.eligibility import registered_task
from django_tasktree.dispatch import publisher
from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.engine.heartbeats import WorkerSpec, beat, sign_off, workers
from django_tasktree.engine.transitions import nodes, write_alias
from django_tasktree.models import HistoryEntry, Lease, NodeRun, TreeRun
from django_tasktree.recovery.sweep import sweep
from django_tasktree.worker import identity
from tests import workers as worker_processes
from tests.services import Service

MEMORY = Service("memory", "memory://", "")
#: More than any interval or timeout of the app.
LONG = timedelta(hours=3)
#: No test of a simulation needs as many messages.
MOST_MESSAGES = 20_000
#: The ID of a worker whose heartbeat never stops and that does nothing else.
WITNESS = UUID(int=1)


class Crash(WorkerTerminate):
    """The process dies: nothing in it runs any more, not even an except clause."""


class Message:
    """A message as a worker receives it."""

    def __init__(self, message):
        self.headers = dict(message.headers)
        self.body = message.body
        self.content_type = message.content_type
        self.content_encoding = message.content_encoding
        self.id = self.headers["id"]

    def __repr__(self):
        return f"<{self.headers['task']} {self.headers['argsrepr']} {self.id}>"


class Simulation:
    """One broker, one database and any number of workers."""

    def __init__(self, app, queue):
        self.app = app
        self.queue = queue
        self.steps = 0
        #: The steps before which a crash leaves something else behind than before the step that precedes them.
        self.points = []
        self._changed = self._changes = False
        self.crash_at = None
        self.hosts = {}

    # Workers

    def start_worker(self, name):
        """Add a worker with a heartbeat, and return its name."""
        spec = WorkerSpec(uuid4(), name, pid=1)
        beat(lambda: spec)
        self.witness(workers().get(id=spec.id).last_seen)
        self.hosts[name] = spec
        return name

    def witness(self, last_seen):
        """Give another worker a later heartbeat: without one, no worker can be regarded as lost."""
        values = {"last_seen": last_seen, "beating_since": last_seen - LONG, "started_at": last_seen - LONG, "pid": 1}
        workers().update_or_create(id=WITNESS, defaults={"hostname": "witness", **values})

    def kill_worker(self, name):
        """Remove a worker without shutdown: its heartbeat is too old from now on."""
        spec = self.hosts.pop(name)
        workers().filter(id=spec.id).update(last_seen=F("last_seen") - LONG)

    def stop_worker(self, name):
        """Shut a worker down."""
        sign_off(self.hosts.pop(name).id)

    # Messages

    def receive_all(self):
        """Remove all messages from the broker, and return them."""
        found = []
        with self.app.connection_for_read() as connection, connection.channel() as channel:
            bound = Queue(self.queue)(channel)
            bound.declare()
            while (message := bound.get(no_ack=True)) is not None:
                found.append(Message(message))
        self._changed = self._changed or bool(found)
        return found

    def deliver(self, message, worker):
        """Run a message as a pool process of the worker does."""
        # A tracer keeps the list of a signal's receivers. Celery replaces the list after a receiver has died.
        for task in self.app.tasks.values():
            task.__trace__ = None
        request = dict(message.headers)
        request.update(hostname=worker, is_eager=False, delivery_info={}, properties={}, loglevel=None, logfile=None)
        request.update(correlation_id=message.id, reply_to="")
        request["tasktree_worker"] = self.hosts[worker].id.hex
        return trace_task_ret(
            message.headers["task"],
            message.id,
            request,
            message.body,
            message.content_type,
            message.content_encoding,
            app=self.app,
        )

    def deliver_all(self, worker):
        """Run all messages, and those that they cause, until the broker is empty; return their number."""
        delivered = 0
        while found := self.receive_all():
            for message in found:
                self.deliver(message, worker)
            delivered += len(found)
            assert delivered < MOST_MESSAGES, f"messages cause messages without end, at last {found}"
        return delivered

    # Time

    def pass_time(self):
        """Simulate that hours pass: set back the times in all rows, except the heartbeats of live workers."""
        everything = nodes()
        for column in ("queued_at", "started_at", "finished_at", "eta"):
            everything.filter(**{f"{column}__isnull": False}).update(**{column: F(column) - LONG})
        for column in ("eta", "deadline"):
            runs = TreeRun.objects.using(write_alias()).filter(**{f"{column}__isnull": False})
            runs.update(**{column: F(column) - LONG})
        entries = HistoryEntry.objects.using(write_alias()).filter(last_batch_at__isnull=False)
        entries.update(last_batch_at=F("last_batch_at") - LONG)
        Lease.objects.using(write_alias()).update(until=F("until") - LONG)
        workers().exclude(id__in=[WITNESS, *(spec.id for spec in self.hosts.values())]).update(
            last_seen=F("last_seen") - LONG
        )

    def recover(self, is_over, rounds=8):
        """Sweep and deliver until a condition of the test is true, and return it."""
        worker = self.start_worker(f"rescuer-{uuid4().hex[:6]}")
        for _ in range(rounds):
            self.deliver_all(worker)
            if is_over():
                break
            self.pass_time()
            sweep(self.app)
        self.stop_worker(worker)
        return is_over()

    # Crashes

    @contextmanager
    def counting(self, crash_at=None):
        """Count each statement and each sending of a message, and crash before the one with the given number.

        From then on, every step crashes: a dead process does nothing more, even if its code handles the exception.
        Afterwards ``points`` has the steps before which a crash leaves something else behind than before the step that
        precedes them: a transaction was committed, or a message was sent or received. That is enough for scenarios
        whose task functions change nothing but rows.
        """
        self.steps, self.points, self.crash_at = 0, [], crash_at
        self._changed, self._changes = True, False
        send, connection = publisher.send, connections[write_alias()]

        def sending(*args):
            self._step()
            send(*args)
            self._changed = True

        def executing(execute, sql, params, many, context):
            statement = sql.lstrip().upper()
            if statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                return execute(sql, params, many, context)
            self._step()
            result = execute(sql, params, many, context)
            if _changes_something(statement, context["cursor"]):
                self._changes = True
                self._changed = self._changed or not connection.in_atomic_block
            return result

        def committing():
            commit()
            self._changed, self._changes = self._changed or self._changes, False

        commit = connection.commit
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(publisher, "send", sending))
            stack.enter_context(mock.patch.object(connection, "commit", committing))
            stack.enter_context(connection.execute_wrapper(executing))
            yield

    def _step(self):
        self.steps += 1
        if self.crash_at is not None and self.steps >= self.crash_at:
            raise Crash
        if self._changed:
            self.points.append(self.steps)
            self._changed = False


def _changes_something(statement, cursor):
    """Return whether a statement that was executed may have changed rows."""
    if statement.startswith(("UPDATE ", "DELETE ")):
        return cursor.rowcount != 0
    return not statement.startswith(("BEGIN", "SET ", "SELECT ")) or "SET_CONFIG" in statement


@contextmanager
def simulated(app, queue):
    """Let this process publish to a broker in memory, and yield the simulation."""
    with worker_processes.use_broker(app, MEMORY, queue):
        # Like a worker at its start, so that the app's own tasks are registered.
        registered_task("django_tasktree.start_due")
        simulation = Simulation(app, queue)
        simulation.receive_all()
        with mock.patch.object(identity, "here", None):
            yield simulation


@contextmanager
def one_process(app, queue):
    """Yield a simulation with a worker, ``w``, that has one process."""
    with simulated(app, queue) as world:
        world.start_worker("w")
        workers().filter(hostname="w").update(queues=[queue], concurrency=1)
        forget_workers()
        yield world
    forget_workers()


def label(row):
    """Return the label of a node in tests: its first argument; a wait node has a label."""
    if row.is_wait:
        return str(row.label)
    return row.args.strip('[]"').split(",")[0].strip('"')


def states(run_id):
    """Return the labels and states of the nodes of a run, sorted."""
    rows = NodeRun.objects.filter(run_id=run_id).order_by("id")
    return sorted((label(row), str(row.state)) for row in rows)
