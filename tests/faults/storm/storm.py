"""The storm itself: launches, faults and verbs until there are nodes enough, then calm, then the oracle."""

import time
from collections import Counter
from contextlib import contextmanager

import kombu.exceptions
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import Count

from django_tasktree import serialization
from django_tasktree.models import NodeAttempt, NodeRun, TreeRun
from tests import services
from tests.faults.crowd import crowd, pause
from tests.faults.private_servers import PrivateRabbitMQ, PrivateRedis, private, private_postgresql
from tests.faults.storm import oracle, planned
from tests.faults.storm.faults import Faults
from tests.faults.storm.steered import Hands
from tests.patience import until
from tests.sample.models import Effect

WORKERS = 3
#: So many runs are open at once.
_OPEN = 12
#: One in so many runs is steered.
_STEERED = 4
SETTINGS = {"MAX_DELIVERIES": 1000}
ENVIRONMENT = {"TEST_SOFT_SHUTDOWN": "1", "TEST_VISIBILITY_TIMEOUT": "3"}


class Storm:
    """One storm on one database and one broker.

    Attributes:
        counted: what happened, for the report.
    """

    def __init__(self, choose, workers, faults, journal):
        self.choose, self.workers, self.faults, self.journal = choose, workers, faults, journal
        self.hands = Hands(choose)
        self.runs = []
        self.counted = Counter()
        self.planned = 0

    def rage(self, nodes):
        """Go on until so many nodes have been launched."""
        while self.planned < nodes:
            self.connect_again()
            self._launch()
            self._steer()
            pause(self.choose.uniform(0.05, 0.3))
            self._strike()
            self.faults.go_on()
            self.workers.replace_lost(at_least=WORKERS)

    def calm_down(self):
        """Let every run end."""
        self.connect_again()
        self.faults.go_on(everything=True)
        self.workers.replace_lost(at_least=WORKERS)
        for run in self.runs:
            launched = TreeRun.objects.filter(key=run.key).first()
            run.id = launched and launched.id
            if run.steered and launched:
                self.hands.release(run.id)
        until(lambda: not TreeRun.objects.open().exists(), self._what_is_open)

    def violations(self):
        """Ask the oracle about each run."""
        lines = oracle.read(self.journal)
        effects = dict(Effect.objects.order_by().values_list("node").annotate(n=Count("*")))
        return [
            sentence
            for run in self.runs
            if run.id is not None
            for sentence in oracle.violations(run, self._rows(run.id), lines, effects)
        ]

    def report(self):
        """Return what happened: names and numbers."""
        figures = Counter(self.counted)
        figures.update({f"action: {name}": number for name, number in self.hands.done.items()})
        figures["runs"] = TreeRun.objects.count()
        figures["nodes"] = NodeRun.objects.count()
        figures["bodies that were started"] = self.journal.read_text().count('["start"')
        figures["attempts lost, and made again"] = NodeAttempt.objects.filter(outcome="LOST").count()
        figures["messages sent again"] = sum(NodeRun.objects.values_list("resent", flat=True))
        return figures

    def connect_again(self):
        connections[self.faults.alias].close()

    def _launch(self):
        while self._open() < _OPEN:
            number = len(self.runs)
            size = self.choose.choice([5, 20, 60])
            run = planned.a_run(self.choose, f"storm-{number}", size, steered=number % _STEERED == 0)
            self.runs.append(run)
            self.planned += size
            with self._outages("launches"):
                planned.build(run, self.choose).apply_async(key=run.key)

    def _open(self):
        with self._outages("looks"):
            # Those that are steered may be paused for long.
            return TreeRun.objects.open().exclude(key__in=[run.key for run in self.runs if run.steered]).count()
        return _OPEN

    def _steer(self):
        steered = [run for run in self.runs[-3 * _OPEN :] if run.steered]
        with self._outages("actions"):
            for run in self.choose.sample(steered, min(2, len(steered))):
                launched = TreeRun.objects.filter(key=run.key).first()
                if launched:
                    self.hands.steer(launched.id)

    def _strike(self):
        if self.choose.random() < 0.2:
            return
        every = self.faults.all()
        name = self.choose.choice(sorted(every))
        with self._outages(name):
            every[name]()
            self.counted[name] += 1

    @contextmanager
    def _outages(self, what):
        """Whatever falls to an outage of the storm's own has failed, and its caller knows."""
        try:
            yield
        except (DatabaseError, InterfaceError, kombu.exceptions.OperationalError, ConnectionError, OSError):
            self.counted[f"failed in an outage: {what}"] += 1
            self.connect_again()

    def _rows(self, run_id):
        rows = list(NodeRun.objects.filter(run_id=run_id))
        for row in rows:
            kwargs = serialization.loads(row.kwargs)
            row.label, row.kind = kwargs["label"], kwargs["kind"]
            result = serialization.loads(row.result) if row.state == "SUCCESS" and row.result else None
            row.token = result and result["token"]
        return rows

    def _what_is_open(self):
        return [
            (
                run.key,
                run.state,
                list(NodeRun.objects.filter(run=run).order_by().values_list("state").annotate(n=Count("*"))),
            )
            for run in TreeRun.objects.open()
        ]


@contextmanager
def a_storm(app, choose, stack, tmp_path, monkeypatch):
    """A storm on ``"postgresql-redis"`` or ``"mariadb-rabbitmq"``."""
    journal = tmp_path / "journal"
    journal.touch()
    monkeypatch.setenv("TEST_JOURNAL", str(journal))
    with _stack(stack) as (alias, server, broker):
        options = {"settings": SETTINGS, "environment": ENVIRONMENT}
        with crowd(app, alias, broker.service, "storm", **options) as workers:
            workers.start(WORKERS)
            faults = Faults(choose, workers, broker, alias, server)
            try:
                yield Storm(choose, workers, faults, journal)
            finally:
                faults.go_on(everything=True)


@contextmanager
def _stack(name):
    if name == "postgresql-redis":
        with private_postgresql() as server, private(PrivateRedis) as broker:
            yield server.alias, server, broker
    else:
        services.need(services.MARIADB)
        with private(PrivateRabbitMQ) as broker:
            yield "mariadb", None, broker


def weather(storm, nodes):
    """Let a storm rage and calm down.

    Returns:
        The violations, and how long it took in seconds.
    """
    started = time.monotonic()
    storm.rage(nodes)
    storm.calm_down()
    return storm.violations(), time.monotonic() - started
