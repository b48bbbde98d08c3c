"""Short names of runs for people."""

from uuid import UUID

from django_tasktree.models import TreeRun


def short_id(key: UUID) -> str:
    """Return the first 13 characters of an ID: its time in milliseconds, which nearly always identifies a run."""
    return str(key)[:13]


def run_title(run: TreeRun) -> str:
    """Return the name of a run; its short ID if it has no name."""
    return run.name or short_id(run.id)
