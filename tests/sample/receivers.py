"""Receivers in worker processes: they append the signals of a run to a file, if a test has created one."""

import json
from pathlib import Path

from django.conf import settings
from django.dispatch import receiver

from django_tasktree.signals import node_finished, run_finished, run_started


def path_of(run_id):
    """Return the path of the file for the signals of a run."""
    return Path(settings.VAR_DIR) / "signals" / str(run_id)


@receiver(run_started)
def on_start(run_id, **_):
    _append(run_id, "run_started", run_id)


@receiver(run_finished)
def on_end(run_id, state, **_):
    _append(run_id, "run_finished", run_id, state)


@receiver(node_finished)
def on_node(run_id, node_id, state, **_):
    _append(run_id, "node_finished", node_id, state)


def _append(run_id, *what):
    path = path_of(run_id)
    if path.exists():
        with path.open("a") as file:
            file.write(json.dumps([str(value) for value in what]) + "\n")
