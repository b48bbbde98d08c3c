"""Runs to which rows of users' models refer, and all rows before and after a deletion."""

import random
from contextlib import contextmanager
from datetime import timedelta

from django.db import models, transaction
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.control.purge import old_runs, purge_runs
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from tests.orders.models import (
    Cascaded,
    Defaulted,
    Invoice,
    Nulled,
    Order,
    OrderLine,
    Protecting,
    Restricting,
    SpecialRun,
)
from tests.sample.tasks import echo

PACKAGE_MODELS = [TreeRun, NodeRun, NodeAttempt, HistoryEntry]
USER_MODELS = [
    Nulled,
    Cascaded,
    Order,
    Order.earlier.through,
    OrderLine,
    Invoice,
    Protecting,
    Restricting,
    Defaulted,
    SpecialRun,
]


def make_run(days=60, task=echo):
    """Return a run of three nodes that ended some days ago, with an entry in its history."""
    tree = TaskTree()
    top = tree.add_task(task, [1])
    top.add_task(echo, ["below"]).add_task(echo, ["at the bottom"])
    result = tree.apply_async(key=f"run {random.random()}")
    TreeRun.objects.filter(id=result.id).update(finished_at=timezone.now() - timedelta(days=days))
    HistoryEntry.objects.create(run_id=result.id, node_id=result.children[0].id, action="complete")
    return TreeRun.objects.get(id=result.id)


def last_node(run):
    """Return the node of a run that was inserted last."""
    return run.nodes.order_by("id").last()


def purge_old_runs():
    """Delete the runs that are older than 30 days; return how many, and those that were kept."""
    steps = list(purge_runs(old_runs(timedelta(days=30))))
    return sum(step.runs for step in steps), [kept for step in steps for kept in step.kept]


def all_rows(models=(*PACKAGE_MODELS, *USER_MODELS)):
    """Return all rows by model, without revisions: they also change when a run is only locked."""
    return {
        model._meta.label: sorted(
            str({name: value for name, value in row.items() if name != "revision"}) for row in model.objects.values()
        )
        for model in models
    }


@contextmanager
def connect_receiver(signal, receiver, sender=None):
    """Connect a receiver to a signal within the block."""
    signal.connect(receiver, sender=sender, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


@contextmanager
def roll_back_changes(alias):
    """Roll back the changes of the block."""
    with transaction.atomic(using=alias):
        yield
        transaction.set_rollback(True, using=alias)


def rows_after_djangos_deletion(run):
    """Return the rows that Django's own deletion of a run leaves, or None if it refuses."""
    with roll_back_changes(run._state.db):
        try:
            TreeRun.objects.get(id=run.id).delete()
        except (models.ProtectedError, models.RestrictedError):
            return None
        return all_rows()
