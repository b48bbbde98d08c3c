"""Run nodes in this process, one after another: with Celery's ``task_always_eager``, and in users' own tests."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

from django_tasktree.worker.commits import Commits, savepoints


class _Frame:
    """What is to be run.

    Attributes:
        commits: what waits for a commit that will never come; None where commits do come.
    """

    def __init__(self, commits: Commits | None = None) -> None:
        self.waiting: deque[Callable[[], Any]] = deque()
        self.running = False
        self.commits = commits

    def run_commits(self) -> None:
        if self.commits is not None:
            self.commits.run()


class _State(local):
    """What this thread has still to run."""

    def __init__(self) -> None:
        self.frame = _Frame()


_state = _State()


def is_on(app: Any) -> bool:
    """Tell whether this thread runs nodes itself."""
    return bool(app.conf.task_always_eager) or _state.frame.commits is not None


def run(calls: Iterable[Callable[[], Any]]) -> None:
    """Run nodes, and those that they release; the outermost call does the work, so depth costs no stack.

    Args:
        calls: each runs one node.
    """
    frame = _state.frame
    frame.waiting.extend(calls)
    if frame.running:
        return
    frame.running = True
    try:
        while frame.waiting:
            frame.waiting.popleft()()
            frame.run_commits()
    finally:
        frame.running = False
        frame.waiting.clear()


@contextmanager
def in_process() -> Iterator[None]:
    """Let this thread run all nodes that are published in the block, whatever the configuration says.

    Inside a transaction, what is registered with ``on_commit`` in the block counts as committed at once. Blocks may be
    nested: the inner one runs what was published in it.
    """
    before, _state.frame = _state.frame, _Frame(Commits())
    try:
        yield
        _state.frame.run_commits()
    finally:
        _state.frame = before


@contextmanager
def body() -> Iterator[None]:
    """Run a body as nearly as in a worker: its statements and commits are its own, also inside a transaction."""
    try:
        with savepoints():
            yield
    finally:
        _state.frame.run_commits()
