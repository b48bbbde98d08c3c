"""With quorum queues, RabbitMQ itself delays messages, by whole seconds and by at least one."""

import pytest

from django_tasktree import TaskTree
from tests import services
from tests.faults.crowd import crowd
from tests.patience import PATIENCE
from tests.quorum import quorum_queue
from tests.sample.tasks import echo, flaky_soon

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


def test_delays_of_less_than_a_second(app):
    with crowd(app, "postgresql", services.RABBITMQ, "quorum", environment={"TEST_QUORUM": "1"}) as workers:
        workers.start()
        # This process must route messages like the workers.
        queue = quorum_queue(workers.queue)
        app.amqp.queues.add(queue)
        tree = TaskTree()
        retried = tree.add_task(flaky_soon, [1, 0.2])
        delayed = tree.add_task(echo, ["delayed"], countdown=0.5)
        result = tree.apply_async()
        assert result.wait(PATIENCE) == "SUCCESS"
        assert result[retried].node.attempts == 2
        assert result[delayed].get() == "delayed"
        assert workers.logged("countdown must be a positive number") == 0
