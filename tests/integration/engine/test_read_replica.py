"""Runs are read from the database of the writes: a replica may not have a new run yet."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, TreeRun
from tests.databases import ActiveDatabase
from tests.patience import PATIENCE
from tests.sample.tasks import echo


@pytest.fixture
def replica(monkeypatch):
    """Send reads to a database that does not exist."""
    monkeypatch.setattr(ActiveDatabase, "db_for_read", lambda *_, **__: "replica")


@pytest.mark.django_db(transaction=True)
def test_handles_read_from_the_database_of_the_writes(replica, eager):
    tree = TaskTree()
    node = tree.add_task(echo, [1])
    result = tree.apply_async()
    assert result.join(timeout=PATIENCE) == [1]
    assert result.progress().done == 1
    assert result[node].get() == 1


def test_an_explicit_alias_is_kept():
    assert (TreeRun.objects.using("other").db, NodeRun.objects.using("other").db) == ("other", "other")
