"""Tasks whose arguments and results JSON cannot represent."""

import enum
from pathlib import Path

from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext_lazy

from django_tasktree import current_node, task_with_callbacks
from tests.databases import active_alias


class Colour(enum.Enum):
    RED = "red"
    GREEN = (0, 255, 0)


class Status(models.TextChoices):
    PAID = "paid"


class Size(models.IntegerChoices):
    LARGE = 2


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


@task_with_callbacks
def described(value, again=None):
    """Return the value, after checking that both values are equal and of the same types."""
    assert again is None or (repr(again), type(again)) == (repr(value), type(value))
    return value


@task_with_callbacks
def given(value, again=None):
    return value


@task_with_callbacks
def anything(*values):
    return len(values)


@task_with_callbacks
def name_of(group):
    return group.name


@task_with_callbacks
def names_of(groups):
    return [group.name for group in groups]


@task_with_callbacks
def add_with(group):
    current_node().add_task(described, [group])


@task_with_callbacks(bind=True, max_retries=1, default_retry_delay=0)
def retry_with_row(self, value):
    if isinstance(value, str):
        raise self.retry(args=[[Group.objects.using(active_alias()).get(name=value), Path("p")]])
    return value


@task_with_callbacks
def translated():
    return gettext_lazy("Order")
