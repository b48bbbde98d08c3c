"""Random canvases whose tasks write to a log when they run."""

import random

from celery import chain, chord, group

from tests.sample.tasks import note


class Maker:
    """Draws random canvases that Celery 5.7 finishes on its own worker.

    The same seed yields the same canvas with any log.
    """

    def __init__(self, seed, log):
        self._random = random.Random(seed)
        self._log = str(log)
        self._count = 0

    def whole(self):
        """Return a canvas with a task at its end that receives its result."""
        return chain(self._canvas(3), note.signature(("end",), {"log": self._log}))

    def _task(self):
        self._count += 1
        immutable = self._random.random() < 0.3
        return note.signature((f"t{self._count}",), {"log": self._log}, immutable=immutable)

    def _canvas(self, depth):
        kind = self._random.choice(["task", "chain", "group", "chord", "chord", "empty"]) if depth else "task"
        if kind == "task":
            return self._task()
        if kind == "empty":
            return chain(self._task(), group(), self._task())
        if kind == "chain":
            return chain(*[self._canvas(depth - 1) for _ in range(self._random.randint(2, 3))])
        members = [self._member(depth - 1) for _ in range(self._random.randint(1, 3))]
        return group(members) if kind == "group" else chord(members, self._body())

    def _member(self, depth):
        kind = self._random.choice(["task", "task", "chain", "chord"]) if depth > 0 else "task"
        if kind == "task":
            return self._task()
        tasks = [self._task() for _ in range(self._random.randint(2, 3))]
        return chain(*tasks) if kind == "chain" else chord(tasks, self._task())

    def _body(self):
        return chain(self._task(), self._task()) if self._random.random() < 0.4 else self._task()
