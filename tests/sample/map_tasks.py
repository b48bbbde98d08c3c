"""Tasks for tests of maps."""

import time

from django_tasktree import current_node, task_with_callbacks
from tests.sample.models import Effect


class OddNumber(Exception):
    """The number is odd."""


@task_with_callbacks
def numbers(count):
    """Return the numbers from 0."""
    return list(range(count))


@task_with_callbacks
def halve(number):
    """Return the half of an even number, and fail for an odd one."""
    if number % 2:
        raise OddNumber(number)
    return number // 2


@task_with_callbacks
def described(item, *rest, **more):
    """Return the arguments."""
    return [item, list(rest), more]


@task_with_callbacks
def note_of(effect):
    """Return the note of a row."""
    return effect.note


@task_with_callbacks
def notes_of(effects):
    """Return the notes of rows."""
    return [effect.note for effect in effects]


@task_with_callbacks
def make_effects(count):
    """Return new rows."""
    return [Effect.objects.create(note=f"made {number}") for number in range(count)]


@task_with_callbacks
def map_own_numbers(count):
    """Add a map to the running node."""
    current_node().map(halve, over=[2 * number for number in range(count)])
    return count


@task_with_callbacks
def slow_half(number):
    """Return the half of an even number, and fail for an odd one, after a while."""
    time.sleep(0.02)
    return halve.run(number)
