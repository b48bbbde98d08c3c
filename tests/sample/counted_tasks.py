"""Tasks that write a row at each execution, also if the attempt is lost afterwards."""

import time

from django_tasktree import current_node, task_with_callbacks
from tests.sample.models import Effect


class Again(Exception):
    """The reason for another attempt."""


def _count(note):
    node = current_node()
    Effect.objects.create(node=node.id, note=f"{node.task_id} {note}")


@task_with_callbacks
def counted(value=None):
    _count(value)
    return value


@task_with_callbacks(bind=True, max_retries=3)
def counted_retry(self, retries, countdown=0):
    _count(self.request.retries)
    if self.request.retries < retries:
        raise self.retry(exc=Again(), countdown=countdown)
    return self.request.retries


@task_with_callbacks
def counted_sleep(seconds):
    _count("sleeps")
    time.sleep(seconds)
    return "slept"


@task_with_callbacks(acks_late=True)
def counted_sleep_acks_late(seconds):
    _count("sleeps")
    time.sleep(seconds)
    return "slept"
