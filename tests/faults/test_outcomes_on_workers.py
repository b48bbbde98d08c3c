"""Awkward results and errors on real workers: each ends its attempt, and the worker continues."""

import pytest
from django_celery_results.models import TaskResult

from django_tasktree import TaskTree
from django_tasktree.models import Worker
from tests import services
from tests.faults.crowd import crowd
from tests.integration.worker.test_awkward_outcomes import check, check_all
from tests.patience import PATIENCE
from tests.sample import outcomes
from tests.sample.outcomes import CASES
from tests.sample.tasks import echo

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
TASKS = {"stored": outcomes.hostile, "atomic": outcomes.hostile_atomic, "ignored": outcomes.hostile_ignored}
STACKS = {
    "django-db": ("postgresql", services.REDIS, "django-db", {}),
    "redis": ("postgresql", services.REDIS, services.REDIS.url, {}),
    "none stored": ("mariadb", services.RABBITMQ, "django-db", {"STORE_TASK_RESULTS": False}),
}


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
@pytest.mark.parametrize(("alias", "broker", "backend", "settings"), STACKS.values(), ids=STACKS)
def test_each_outcome_ends_its_attempt(app, alias, broker, pool, backend, settings):
    services.need(services.REDIS)
    # Long times, so that nothing counts as lost: a second delivery would mean that an attempt did not end.
    options = {"settings": {**settings, "RESEND_AFTER": 600, "WORKER_LOST_AFTER": 600}, "pool": pool}
    environment = {"TEST_RESULT_BACKEND": backend}
    with crowd(app, alias, broker, "outcomes", environment=environment, **options) as workers:
        workers.start()
        tree = TaskTree()
        nodes = {(kind, name): tree.add_task(task, [name]) for kind, task in TASKS.items() for name in CASES}
        after = [node.add_task(echo, ["after"], run_when="always") for node in nodes.values()]
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "FAILURE", result.progress()
        assert {result[node].state for node in after} == {"SUCCESS"}

        def check_case(key):
            handle = result[nodes[key]]
            assert handle.node.attempts == 1, key
            check(handle.node, handle, key[1])

        check_all(nodes, check_case)
        assert Worker.objects.filter(hostname=workers.workers[0].hostname).count() == 1
        if backend == "django-db" and not settings:
            stored = dict(TaskResult.objects.values_list("task_id", "status"))
            states = {
                key: stored.get(str(result[node].node.task_id)) for key, node in nodes.items() if key[0] == "stored"
            }
            wrong = {key: state for key, state in states.items() if state != result[nodes[key]].state}
            assert not wrong
