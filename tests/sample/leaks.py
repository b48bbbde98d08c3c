"""Tasks whose functions leave transactions open, each in its own way."""

from celery import shared_task
from django.db import DatabaseError, connections, transaction

from django_tasktree import CallbackTask, StopPropagation, task_with_callbacks
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
    """Leave a transaction open in which a statement has failed."""
    _atomic()
    try:
        with connections[active_alias()].cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")
    except DatabaseError:
        pass


def _closed():
    """Close the connection inside the block, as Celery does around tasks."""
    _atomic()
    connections[active_alias()].close()


def _autocommit():
    transaction.set_autocommit(False, using=active_alias())
    _write()


def _begin():
    with connections[active_alias()].cursor() as cursor:
        cursor.execute("BEGIN")
    _write()


def _autocommit_and_atomic():
    transaction.set_autocommit(False, using=active_alias())
    _atomic()


def _commented_begin():
    with connections[active_alias()].cursor() as cursor:
        cursor.execute("/* from\na library */ begin")
    _write()


def _broken():
    """Leave a transaction open whose connection the server or the network has ended."""
    _atomic()
    connections[active_alias()].connection.close()


#: The ways to leave a transaction open.
WAYS = {
    "atomic": _atomic,
    "nested": _nested,
    "without a savepoint": _without_savepoint,
    "aborted": _aborted,
    "closed": _closed,
    "autocommit": _autocommit,
    "autocommit and atomic": _autocommit_and_atomic,
    "begin": _begin,
    "commented begin": _commented_begin,
    "broken": _broken,
}


@task_with_callbacks
def leak(way):
    """Leave a transaction open, and return."""
    WAYS[way]()


@task_with_callbacks
def leak_and_fail(way):
    """Leave a transaction open, and fail."""
    WAYS[way]()
    raise ValueError("its own error")


@task_with_callbacks
def leak_and_stop(way):
    """Leave a transaction open, and end the branch."""
    WAYS[way]()
    raise StopPropagation("done")


@task_with_callbacks(bind=True, max_retries=3, default_retry_delay=0)
def leak_and_retry(self, way):
    """Leave a transaction open, and retry."""
    WAYS[way]()
    raise self.retry()


@task_with_callbacks(atomic=True)
def leak_in_atomic(way):
    """Leave a transaction open within that of the atomic node."""
    WAYS[way]()


class LeaksAfterwards(CallbackTask):
    """Leaves transactions open in ``after_return``."""

    abstract = True

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        WAYS[args[0]]()


@task_with_callbacks(base=LeaksAfterwards)
def leak_afterwards(way):
    """Do nothing; the class of the task leaves a transaction open."""


@task_with_callbacks(atomic=True)
def leak_on_commit(way):
    """Leave a transaction open in an ``on_commit`` callback."""
    transaction.on_commit(WAYS[way], using=active_alias())


@task_with_callbacks(atomic=True)
def fail_on_commit():
    """Raise an error in an ``on_commit`` callback."""
    transaction.on_commit(_raise, using=active_alias())
    transaction.on_commit(_write, using=active_alias())


def _raise():
    raise ValueError("after the commit")


@task_with_callbacks
def begin_and_end(statement):
    """End a transaction that a BEGIN has begun, with a method of Django or with a statement."""
    connection = connections[active_alias()]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        Effect.objects.using(active_alias()).create(note="kept")
        if statement is None:
            connection.commit()
        else:
            cursor.execute(statement)


@shared_task
def leak_outside_trees(way):
    """Leave a transaction open in a task that is not a node."""
    WAYS[way]()


@task_with_callbacks
def write():
    """Write a row."""
    Effect.objects.using(active_alias()).create(note="kept")
