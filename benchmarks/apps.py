"""The app that contains the benchmarks' tasks."""

import os
from pathlib import Path

from celery.signals import worker_process_init
from django.apps import AppConfig

from benchmarks import tallies


class BenchmarksConfig(AppConfig):
    """Count the statements and messages of the pool processes of a worker, if it is started for that."""

    name = "benchmarks"

    def ready(self) -> None:
        """Connect to the signal of new pool processes."""
        if tallies.VARIABLE in os.environ:
            worker_process_init.connect(_on_process, weak=False)


def _on_process(**_: object) -> None:
    tallies.Tallies(Path(os.environ[tallies.VARIABLE])).start()
