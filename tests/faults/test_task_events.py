"""A worker that sends events of tasks sends those of nodes that share a message too."""

import json
import threading
from ast import literal_eval
from collections import defaultdict
from functools import partial

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests import databases, services, workers
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo, fail, flaky

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True, databases="__all__")]

WHOLE = ["task-received", "task-started", "task-succeeded"]


@pytest.fixture
def events(app, tmp_path, request):
    """Run a worker with the options of the parameter; yield events by task ID, in the order in which they arrive."""
    services.need(services.POSTGRESQL, services.REDIS)
    queue = workers.queue_of("events")
    seen = defaultdict(list)
    with databases.active("postgresql"), workers.use_broker(app, services.REDIS, queue):
        env = workers.environment("postgresql", services.REDIS.url, queue)
        worker = workers.Worker(tmp_path / "worker.log", env, concurrency=1, name=queue, extra=request.param)
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(
                connection, handlers={"*": lambda event: seen[event.get("uuid")].append(event)}
            )
            thread = threading.Thread(target=partial(receiver.capture, wakeup=False), daemon=True)
            thread.start()
            try:
                worker.wait_until_ready()
                yield seen
            finally:
                receiver.should_stop = True
                thread.join(PATIENCE)
                worker.stop()
                workers.delete_queue(services.REDIS, queue)


@pytest.mark.parametrize("events", [["-E"], []], ids=["option", "remote-control"], indirect=True)
def test_events_of_all_nodes(events, app):
    # As monitors do, because few workers have the option.
    assert app.control.broadcast("enable_events", reply=True, timeout=PATIENCE, limit=1)
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    for number in range(20):
        top.add_task(echo, [number])
    top.add_task(fail, ["bad"], allow_failure=True)
    top.add_task(flaky, [1])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "SUCCESS"
    rows = {str(node.task_id): node for node in NodeRun.objects.filter(run_id=result.id)}
    ends = ("task-succeeded", "task-failed")
    until(lambda: sum(each["type"] in ends for task_id in rows for each in events[task_id]) == len(rows))
    for task_id, node in rows.items():
        types = [each["type"] for each in events[task_id]]
        assert types == ([*WHOLE[:2], "task-failed"] if node.task == fail.name else WHOLE)
        first, *_, last = events[task_id]
        assert (first["name"], first["root_id"]) == (node.task, str(result.id))
        assert list(literal_eval(first["args"])) == json.loads(node.args)
        assert first["hostname"] == last["hostname"] == node.worker
    retried = [each["type"] for task_id in set(events) - {*rows, None} for each in events[task_id]]
    assert retried == [*WHOLE[:2], "task-retried"]
    assert any(node.carried_by for node in rows.values())


@pytest.mark.parametrize("events", [[]], indirect=True)
def test_a_worker_without_events_of_tasks(events, app):
    """Without the option, a worker sends its heartbeats alone."""
    tree = TaskTree()
    for number in range(20):
        tree.add_task(echo, [number])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "SUCCESS"
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send("test-end", uuid="end")
    until(lambda: events["end"])
    assert not [each for uuid in events for each in events[uuid] if each["type"].startswith("task-")]
