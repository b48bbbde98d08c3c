"""Measure how soon the nodes of a chain follow each other: ``python -m benchmarks latency``, with ``launches``."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from celery import chain
from django.test import override_settings
from django_celery_results.models import TaskResult

from benchmarks import environment, launches
from benchmarks.options import Options
from benchmarks.rounds import percentile
from benchmarks.tables import Table
from benchmarks.tasks import clock, plain_clock
from benchmarks.usage import empty_tables
from benchmarks.waits import wait_until
from django_tasktree import TaskTree
from django_tasktree.encoding import times
from django_tasktree.models import NodeRun

LENGTH = 300
#: The setting with which each node has a message of its own.
OWN = {"SHARE_MESSAGE_FOR": 0}

#: What is measured -> the seconds between each task and the next.
Gaps = dict[str, list[float]]


def tables(options: Options) -> Iterator[Table]:
    """Yield the gaps in chains, and the speed of launches."""
    length = max(3, round(LENGTH * options.scale_factor))
    title = f"From the end of a task to the start of the next, in chains of {length}; milliseconds"
    table = Table(title, ["how", "gaps", "p50", "p99"])
    for name, gaps in _gaps(options.rounds, length).items():
        table.add(name, f"{len(gaps):,}", *[f"{1000 * percentile(gaps, percent):.2f}" for percent in (50, 99)])
    yield table
    yield from launches.tables(options)


def _gaps(rounds: int, length: int) -> Gaps:
    """Measure chains in turn; the first round is not counted."""
    found: Gaps = {}
    ways: tuple[Callable[[int], Gaps], ...] = (_shared, _own, _canvas)
    with environment.worker(), environment.worker(consumes=environment.queue("-own"), tasktree=OWN):
        for number in range(rounds + 1):
            for way in ways:
                for name, gaps in way(length).items():
                    found.setdefault(name, []).extend(gaps if number else [])
            ways = (*ways[1:], ways[0])
    return found


def _shared(length: int) -> Gaps:
    return _tree("tree", length)


def _own(length: int) -> Gaps:
    with override_settings(TASKTREE=OWN):
        return _tree("tree, own messages", length, queue=environment.queue("-own"))


def _tree(name: str, length: int, **options: Any) -> Gaps:
    empty_tables()
    tree = TaskTree()
    for _ in range(length):
        tree.push(clock, **options)
    result = tree.apply_async()
    wait_until(result.ready, length)
    nodes = list(NodeRun.objects.order_by("started_at"))
    in_rows = [
        times.elapsed(node.finished_at, child.started_at).total_seconds()
        for node, child in pairwise(nodes)
        if node.finished_at and child.started_at
    ]
    return {name: _between([node.result for node in nodes]), f"{name}, by its rows": in_rows}


def _canvas(length: int) -> Gaps:
    empty_tables()
    result = chain(*[plain_clock.si() for _ in range(length)]).apply_async()
    wait_until(result.ready, length)
    return {"canvas, django-db": _between(list(TaskResult.objects.values_list("result", flat=True)))}


def _between(results: Sequence[str | None]) -> list[float]:
    """Return the seconds between task functions, which returned the times of their start and their end."""
    spans = sorted(json.loads(result or "") for result in results)
    return [start - end for (_, end), (start, _) in pairwise(spans)]
