"""Several nodes fail concurrently, and each failure stops the rest."""

import threading
from contextlib import suppress

import pytest
from django.db import connections

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle import finish as engine_finish
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, ref
from tests.sample.tasks import echo

#: Seconds that the first of two failures waits for the second, which a lock may keep from coming as far.
GRACE = 1


@pytest.mark.parametrize("stopping", ["the tree", "a node"])
def test_two_nodes_fail_concurrently(database, stopping, monkeypatch):
    """If both could write their own rows before either stops the rest, they would be deadlocked."""
    tree = TaskTree(on_failure="stop" if stopping == "the tree" else "continue")
    top = tree.add_task(echo, on_failure="stop" if stopping == "a node" else "continue")
    both = [top.add_task(echo), top.add_task(echo)]
    below = [node.add_task(echo, run_when="always") for node in both]
    launched, keys = insert_run(tree)
    first = ref(keys[top])
    claim(first, "w")
    engine_finish.finish(first, SUCCESS)
    messages = [ref(keys[node]) for node in both]
    for message in messages:
        assert claim(message, "w")
    other_wrote, stop, errors = threading.Barrier(2), engine_finish.stop_on_failure, []  # type: ignore[attr-defined]

    def stop_together(node):
        with suppress(threading.BrokenBarrierError):
            other_wrote.wait(GRACE)
        return stop(node)

    def fail(message):
        try:
            engine_finish.finish(message, FAILURE)
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections[database].close()

    monkeypatch.setattr(engine_finish, "stop_on_failure", stop_together)
    threads = [threading.Thread(target=fail, args=[message]) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    states = dict(NodeRun.objects.filter(run_id=launched.run_id).values_list("id", "state"))
    assert [states[keys[node]] for node in both] == ["FAILURE", "FAILURE"]
    assert [states[keys[node]] for node in below] == ["REVOKED", "REVOKED"]
    if stopping == "the tree":
        assert TreeRun.objects.get(id=launched.run_id).state == "FAILURE"
