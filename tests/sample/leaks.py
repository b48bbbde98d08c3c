"""Tasks whose functions leave transactions open, each in its own way."""

from celery import shared_task
from django.db import DatabaseError, connections, transaction

from django_tasktree import StopPropagation, task_with_callbacks
from tests.databases import active_alias
from tests.sample.models import Effect


def _write():
    Effect.objects.using(active_alias()).create(note="lost")


def _atomic():
    transaction.atomic(using=active_alias()).__enter__()
    _write()


def _nested():
    _atomic()
    transaction.atomic(using=active_alias()).__enter__()
    _write()


def _without_savepoint():
    _atomic()
    transaction.atomic(using=active_alias(), savepoint=False).__enter__()
    _write()


def _aborted():
    """A statement has failed in the transaction, and nobody has noticed."""
    _atomic()
    try:
        with connections[active_alias()].cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")
    except DatabaseError:
        pass


def _closed():
    """The connection is closed inside the block, as Celery does around tasks."""
    _atomic()
    connections[active_alias()].close()


def _autocommit():
    transaction.set_autocommit(False, using=active_alias())
    _write()


def _begin():
    with connections[active_alias()].cursor() as cursor:
        cursor.execute("BEGIN")
    _write()


#: How a transaction can be left open.
WAYS = {
    "atomic": _atomic,
    "nested": _nested,
    "without a savepoint": _without_savepoint,
    "aborted": _aborted,
    "closed": _closed,
    "autocommit": _autocommit,
    "begin": _begin,
}


@task_with_callbacks
def leak(way):
    """Return as if nothing were wrong."""
    WAYS[way]()


@task_with_callbacks
def leak_and_fail(way):
    """Fail with an error of its own."""
    WAYS[way]()
    raise ValueError("its own error")


@task_with_callbacks
def leak_and_stop(way):
    """End the branch."""
    WAYS[way]()
    raise StopPropagation("done")


@task_with_callbacks(bind=True, max_retries=3, default_retry_delay=0)
def leak_and_retry(self, way):
    """Ask for another attempt."""
    WAYS[way]()
    raise self.retry()


@task_with_callbacks(atomic=True)
def leak_in_atomic(way):
    """Open a transaction within the one that the node has."""
    WAYS[way]()


@shared_task
def leak_outside_trees(way):
    """A task of Celery's own, in the same process."""
    WAYS[way]()


@task_with_callbacks
def write():
    """Write a row, as any task may."""
    Effect.objects.using(active_alias()).create(note="kept")
