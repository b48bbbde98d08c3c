"""Run shapes on django-qraft."""

import logging
from collections.abc import Callable
from typing import Any

import django
from driver import serve

_TASK = "qraft_tasks.echo"


def main() -> None:
    """Answer requests."""
    django.setup()
    # Else it would log each task that it queues.
    logging.getLogger("django-q").setLevel(logging.WARNING)
    serve({"group": _group, "chain": _chain})


def _group(size: int) -> Callable[[], Callable[[], bool]]:
    from qraft.iter import QraftIter

    return _launching(QraftIter(_TASK), [(number,) for number in range(size)])


def _chain(size: int) -> Callable[[], Callable[[], bool]]:
    from qraft.chain import QraftChain

    return _launching(QraftChain(), [(_TASK, number) for number in range(size)])


def _launching(workflow: Any, calls: list[tuple[Any, ...]]) -> Callable[[], Callable[[], bool]]:
    for call in calls:
        workflow.append(*call)

    def launch() -> Callable[[], bool]:
        workflow.run()
        return lambda: workflow.status == "succeeded"

    return launch


if __name__ == "__main__":
    main()
