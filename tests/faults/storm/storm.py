"""The storm: launches, faults and actions until there are enough nodes; then the end of all runs, and the oracle."""

import time
from collections import Counter
from contextlib import contextmanager
from typing import Any

import kombu.exceptions
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import Count

from django_tasktree.builder.own_tasks import MAP, START_RUN
from django_tasktree.encoding import serialization
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from django_tasktree.testing import registered
from tests import services
from tests.faults.crowd import crowd, pause
from tests.faults.private_servers import PrivateRabbitMQ, PrivateRedis, private, private_postgresql
from tests.faults.storm import oracle, planned
from tests.faults.storm.actions import RandomActions
from tests.faults.storm.faults import Faults
from tests.patience import until
from tests.sample.models import Effect
from tests.sample.storm_tasks import storm_part

WORKERS = 3
#: The number of runs that are open at the same time.
_OPEN = 12
#: One run in this number is controlled.
_CONTROLLED = 4
SETTINGS = {"MAX_DELIVERIES": 1000}
ENVIRONMENT = {"TEST_SOFT_SHUTDOWN": "1", "TEST_VISIBILITY_TIMEOUT": "3"}


class Storm:
    """One storm on one database and one broker.

    Attributes:
        counted: how often each fault happened, for the report.
    """

    def __init__(self, choose, workers, faults, journal):
        self.choose, self.workers, self.faults, self.journal = choose, workers, faults, journal
        self.actions = RandomActions(choose)
        self.runs = []
        self.counted = Counter()
        self.planned = 0

    def launch_with_faults(self, nodes):
        """Launch runs, cause faults and act on runs until enough nodes were launched."""
        while self.planned < nodes:
            self.connect_again()
            self._launch()
            self._act()
            self._answer()
            pause(self.choose.uniform(0.05, 0.3))
            self._cause_a_fault()
            self.faults.end_temporary_faults()
            self.workers.replace_lost(at_least=WORKERS)

    def end_all_runs(self):
        """End the faults and wait until every run has ended."""
        self.connect_again()
        self.faults.end_temporary_faults(everything=True)
        self.workers.replace_lost(at_least=WORKERS)
        for run in self.runs:
            launched = TreeRun.objects.filter(key=run.key).first()
            run.id = launched and launched.id
            if run.controlled and launched:
                self.actions.release(run.id)
        until(self._have_ended, self._what_is_open)

    def _have_ended(self):
        self.actions.answer(1)
        return not TreeRun.objects.not_ended().exists()

    def violations(self):
        """Return the violations that the oracle finds in any run."""
        lines = oracle.read(self.journal)
        effects = dict(Effect.objects.order_by().values_list("node").annotate(n=Count("*")))
        return [
            sentence
            for run in self.runs
            if run.id is not None
            for sentence in oracle.violations(
                run, self._rows(run.id), lines, effects, self._inner_rows(run.id), self.actions.answers
            )
        ]

    def report(self):
        """Return the number of everything that happened, by name."""
        figures = Counter(self.counted)
        figures.update({f"action: {name}": number for name, number in self.actions.done.items()})
        figures["runs"] = TreeRun.objects.count()
        figures["nodes"] = NodeRun.objects.count()
        figures["sub-runs"] = TreeRun.objects.filter(depth__gt=0).count()
        figures["maps that have run"] = NodeRun.objects.filter(task=MAP, state="SUCCESS").count()
        figures["waits that have ended"] = NodeRun.objects.filter(wait__isnull=False, state="SUCCESS").count()
        figures["attempts started"] = self.journal.read_text().count('["start"')
        figures["attempts lost and repeated"] = NodeAttempt.objects.filter(outcome="LOST").count()
        figures["messages sent again"] = sum(NodeRun.objects.values_list("resend_count", flat=True))
        return figures

    def connect_again(self):
        connections[self.faults.alias].close()

    def _launch(self):
        while self._open() < _OPEN:
            number = len(self.runs)
            size = self.choose.choice([5, 20, 60])
            run = planned.a_run(self.choose, f"storm-{number}", size, controlled=number % _CONTROLLED == 0)
            self.runs.append(run)
            self.planned += size
            with self._outages("launches"):
                planned.build(run, self.choose).apply_async(key=run.key)

    def _open(self):
        with self._outages("queries"):
            # Controlled runs may be paused for a long time.
            controlled = [run.key for run in self.runs if run.controlled]
            return TreeRun.objects.not_ended().filter(depth=0).exclude(key__in=controlled).count()
        return _OPEN

    def _act(self):
        controlled = [run for run in self.runs[-3 * _OPEN :] if run.controlled]
        with self._outages("actions"):
            for run in self.choose.sample(controlled, min(2, len(controlled))):
                launched = TreeRun.objects.filter(key=run.key).first()
                if launched:
                    self.actions.act(launched.id)

    def _answer(self):
        """Send events, for some of which no node waits yet, and complete some of the nodes that wait."""
        with self._outages("answers"):
            for run in self.choose.sample(self.runs[-_OPEN:], 2):
                launched = TreeRun.objects.filter(key=run.key).first()
                if launched:
                    self.actions.send_event(launched.id)
            self.actions.answer(0.3)

    def _cause_a_fault(self):
        if self.choose.random() < 0.2:
            return
        every = self.faults.all()
        name = self.choose.choice(sorted(every))
        with self._outages(name):
            every[name]()
            self.counted[name] += 1

    @contextmanager
    def _outages(self, what):
        """Count errors that the faults of the storm cause in this process."""
        try:
            yield
        except (DatabaseError, InterfaceError, kombu.exceptions.OperationalError, ConnectionError, OSError):
            self.counted[f"failed in an outage: {what}"] += 1
            self.connect_again()

    def _rows(self, run_id):
        rows: dict[Any, Any] = {row.id: row for row in NodeRun.objects.filter(run_id=run_id)}
        for row in rows.values():
            _describe(row)
        for row in rows.values():
            if row.label.startswith("item "):
                row.label = f"{rows[row.parent_id].label}/{row.label}"
        return list(rows.values())

    def _inner_rows(self, run_id):
        """Return the rows of the sub-runs of a run."""
        rows: list[Any] = list(NodeRun.objects.filter(run__parent_run_id=run_id).select_related("run"))
        for row in rows:
            _describe(row)
            row.started_by, row.run_state = row.run.parent_node_id, row.run.state
        return rows

    def _what_is_open(self):
        return [
            (
                run.key,
                run.state,
                list(NodeRun.objects.filter(run=run).order_by().values_list("state").annotate(n=Count("*"))),
            )
            for run in TreeRun.objects.not_ended()
        ]


def _describe(row):
    """Add what the task function of a node has done, and its result."""
    kwargs = serialization.loads(row.kwargs)
    row.label, row.kind = kwargs.get("label", row.label), kwargs.get("kind") or _kind_without_arguments(row)
    row.value = serialization.loads(row.result) if row.state == "SUCCESS" and row.result else None
    row.token = row.value["token"] if isinstance(row.value, dict) else None


def _kind_without_arguments(row):
    if row.is_wait:
        return "waits" if row.lane else "sleeps"
    return {MAP: "maps", START_RUN: "starts a run"}[row.task]


@contextmanager
def a_storm(app, choose, stack, tmp_path, monkeypatch):
    """Provide a storm on ``"postgresql-redis"`` or ``"mariadb-rabbitmq"``."""
    journal = tmp_path / "journal"
    journal.touch()
    monkeypatch.setenv("TEST_JOURNAL", str(journal))
    with _stack(stack) as (alias, server, broker), registered(storm_part):
        options = {"settings": SETTINGS, "environment": ENVIRONMENT}
        with crowd(app, alias, broker.service, "storm", **options) as workers:
            workers.start(WORKERS)
            faults = Faults(choose, workers, broker, alias, server)
            try:
                yield Storm(choose, workers, faults, journal)
            finally:
                faults.end_temporary_faults(everything=True)


@contextmanager
def _stack(name):
    if name == "postgresql-redis":
        with private_postgresql() as server, private(PrivateRedis) as broker:
            yield server.alias, server, broker
    else:
        services.need(services.MARIADB)
        with private(PrivateRabbitMQ) as broker:
            yield "mariadb", None, broker


def run_storm(storm, nodes):
    """Run a storm to its end.

    Returns:
        The violations, and the duration in seconds.
    """
    started = time.monotonic()
    storm.launch_with_faults(nodes)
    storm.end_all_runs()
    return storm.violations(), time.monotonic() - started
