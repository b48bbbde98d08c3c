"""A claim survives a crash of the database, so that no second attempt gets its task ID."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.models import NodeRun
from tests import databases, services
from tests.faults.private_servers import private_postgresql
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo

CRASHES = 3


@pytest.mark.services
@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_crash_of_postgresql_right_after_a_claim_does_not_undo_it(app):
    services.need(services.POSTGRESQL)
    with private_postgresql() as server, databases.active(server.alias):
        for _ in range(CRASHES):
            tree = TaskTree()
            tree.add_task(echo, [1], on_worker_lost="fail")
            run_id = tree.apply_async().id
            queued = ref(NodeRun.objects.get(run_id=run_id).id)
            assert claim(queued, "first")
            server.restart()
            server.connect_again()
            node = NodeRun.objects.get(run_id=run_id)
            assert (node.state, node.worker, node.attempts, node.task_id) == ("STARTED", "first", 1, queued.task_id)
            assert not claim(queued, "second")
