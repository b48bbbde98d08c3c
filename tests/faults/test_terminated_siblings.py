"""With ``on_failure="terminate"`` a failure ends the tasks that other processes run."""

import pytest

from django_tasktree import TaskTree
from tests import services
from tests.faults.crowd import crowd
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo, fail, wait_for_file

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True, databases="__all__")]
STACKS = [("postgresql", services.REDIS), ("mariadb", services.RABBITMQ)]


@pytest.mark.parametrize("share_message", [True, False])
@pytest.mark.parametrize(("alias", "broker"), STACKS, ids=["postgresql-redis", "mariadb-rabbitmq"])
def test_siblings_are_terminated(app, tmp_path, alias, broker, share_message):
    with crowd(app, alias, broker, "siblings", concurrency=5) as workers:
        workers.start()
        tree = TaskTree()
        part = tree.add_task(echo, label="part", on_failure="terminate")
        options = {"share_message": share_message}
        waits = [part.add_task(wait_for_file, [str(tmp_path / "never")], **options) for _ in range(2)]
        gate = part.add_task(wait_for_file, [str(tmp_path / "gate")], **options)
        broken = gate.add_task(fail, ["broken"], **options)
        other = tree.add_task(wait_for_file, [str(tmp_path / "other")], **options)
        result = tree.apply_async()
        until(lambda: {result[node].state for node in (*waits, gate, other)} == {"STARTED"})
        (tmp_path / "gate").touch()
        until(lambda: {result[node].state for node in waits} == {"REVOKED"})
        assert result[broken].state == "FAILURE"
        assert result[other].state == "STARTED"
        (tmp_path / "other").touch()
        assert result.wait(PATIENCE) == "FAILURE"
        assert result[other].state == "SUCCESS"
