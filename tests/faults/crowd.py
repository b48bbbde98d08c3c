"""Real workers that are started, killed and shut down during a run, and the checks that the run survived."""

import json
import os
import random
import signal
import sys
import time
from contextlib import contextmanager
from itertools import count

import psutil
import pytest
from django.db.models import Count

from django_tasktree import TaskTree
from django_tasktree.exceptions import WaitTimeout
from django_tasktree.models import NodeAttempt, NodeRun, Worker
from tests import databases, services, workers
from tests.patience import PATIENCE
from tests.sample.atomic_tasks import brief_effect
from tests.sample.models import Effect

#: The intervals and timeouts of the app, short enough for a test.
QUICK = {
    "HEARTBEAT_INTERVAL": 0.5,
    "WORKER_LOST_AFTER": 3,
    "SWEEP_INTERVAL": 0.5,
    "RESEND_AFTER": 2,
    "MAX_DELIVERIES": 20,
}
#: The columns of nodes that have not ended that a failed test shows.
_SHOWN = ("state", "runnable", "queued_at", "started_at", "resend_count", "attempts", "lane", "carried_by", "worker")


class Crowd:
    """Workers on one database and one queue."""

    def __init__(self, env, queue, pool="prefork", concurrency=2):
        self.environment, self.queue, self._pool, self._concurrency = env, queue, pool, concurrency
        self._names = count(1)
        self.workers = []
        self._retired = []

    def start(self, number=1):
        new = [self._worker() for _ in range(number)]
        for worker in new:
            worker.wait_until_ready()
        self.workers += new

    def replace_lost(self, at_least=0):
        """Start a worker for each one that has died, and more until there are enough."""
        alive = [worker for worker in self.workers if worker.process.poll() is None]
        wanted = max(at_least, len(self.workers))
        self.workers = alive
        self.start(wanted - len(alive))

    def kill_a_worker(self, choose):
        """Send SIGKILL to all processes of a worker."""
        choose.choice(self.workers).kill()

    def kill_a_pool_process(self, choose):
        """Send SIGKILL to one process of a pool."""
        children = psutil.Process(choose.choice(self.workers).process.pid).children()
        if children:
            os.kill(choose.choice(children).pid, signal.SIGKILL)

    def kill_repeatedly(self, kills, launch, check, choose, pauses=(0.1, 0.4)):
        """Launch a run and kill processes and workers in turn, until an attempt was lost; replace lost workers.

        On a fast machine, a run may end between two kills: then it is checked, and another one is launched.

        Args:
            kills: the minimum number of kills.
            launch: launches a run.
            check: waits for the end of a run and checks it.
            choose: the source of randomness.
            pauses: the shortest and the longest pause before a kill, in seconds.

        Returns:
            The last run, after its check.
        """
        result = launch()
        number = 0
        while number < kills or not NodeAttempt.objects.filter(outcome="LOST").exists():
            number += 1
            if result.ready():
                check(result)
                result = launch()
            pause(choose.uniform(*pauses))
            if number % 2:
                self.kill_a_pool_process(choose)
            else:
                self.kill_a_worker(choose)
            self.replace_lost()
        check(result)
        return result

    def shut_down(self):
        """Send SIGTERM to all workers: they finish started tasks and return other messages to the broker."""
        for worker in self.workers:
            worker.process.terminate()
        self._retired += self.workers
        self.workers = []

    def shut_down_one(self):
        """Send SIGTERM to the oldest worker."""
        worker = self.workers.pop(0)
        worker.process.terminate()
        self._retired.append(worker)

    def deliveries(self, task_id):
        """Return how often workers have received a message."""
        return self.logged(f"[{task_id}] received")

    def logged(self, text):
        """Return how often a text is in the logs of the workers."""
        logs = workers.log_dir().glob(f"{self.queue}-*.log")
        return sum(path.read_text(errors="replace").count(text) for path in logs)

    def retire(self, worker):
        """Stop a worker that was shut down elsewhere at the end of the test."""
        self._retired.append(worker)

    def stop(self):
        self.shut_down()
        for worker in self._retired:
            worker.stop()

    def _worker(self):
        name = f"{self.queue}-{next(self._names)}"
        log = workers.log_dir() / f"{name}.log"
        return workers.Worker(log, self.environment, self._pool, self._concurrency, name)


@contextmanager
def crowd(app, alias, broker, name, settings=None, environment=None, **options):
    """Provide workers, and let this process publish to them."""
    services.need(*([services.DATABASES[alias]] if alias in services.DATABASES else []), broker)
    queue = workers.queue_of(name)
    values = json.dumps({**QUICK, **(settings or {})})
    env = workers.environment(alias, broker.url, queue, TEST_TASKTREE=values, **(environment or {}))
    crowd = Crowd(env, queue, **options)
    with databases.active(alias), workers.use_broker(app, broker, queue):
        try:
            yield crowd
        finally:
            crowd.stop()
            if broker.missing is None:
                workers.delete_queue(broker, queue)


def wide_and_deep_tree(nodes, task=brief_effect):
    """Build a tree with wide fans, chains and gather nodes; every node leaves an effect."""
    tree = TaskTree("survivor")
    numbers = count()
    while next(numbers) < nodes - 1:
        top = tree.add_task(task, [next(numbers)])
        for _ in range(8):
            top.add_task(task, [next(numbers)])
        below = top
        for _ in range(8):
            below = below.add_task(task, [next(numbers)])
        top.gather(task, [next(numbers)])
    tree.gather(task, ["all"])
    return tree


def seeded_random():
    """Return a random generator whose seed is printed, so that a failure can be repeated."""
    seed = int(os.environ.get("TEST_SEED") or random.randrange(10**6))
    sys.stdout.write(f"TEST_SEED={seed}\n")
    return random.Random(seed)


def assert_success(result):
    """Wait for the end of a run, and check that it has succeeded."""
    try:
        state = result.wait(PATIENCE)
    except WaitTimeout:
        left = NodeRun.objects.filter(run_id=result.id).exclude(state="SUCCESS").order_by("id")
        pytest.fail(f"{result.progress()}: {list(left.values(*_SHOWN)[:20])}, {list(Worker.objects.values())}")
    assert state == "SUCCESS", result.progress()


def assert_survived(result):
    """Check that every node has succeeded and has written its row exactly once."""
    assert_success(result)
    nodes = NodeRun.objects.filter(run_id=result.id)
    total = nodes.count()
    assert result.progress().by_state == {"SUCCESS": total}
    of_run = Effect.objects.filter(node__in=nodes.values("id"))
    counts = of_run.order_by().values_list("node").annotate(n=Count("*"))
    assert {number for _, number in counts} == {1}
    assert len(counts) == total


def pause(seconds):
    """Let the workers continue for a while; no check depends on how much they do."""
    time.sleep(seconds)
