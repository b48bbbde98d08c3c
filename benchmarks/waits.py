"""Wait for the end of trees and canvases, and for workers to have nothing to do."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.tasks import leave_mark

#: Seconds between two looks at up to 1,000 tasks; the same for trees and canvases. More for larger ones: to count
#: 10,000 results takes time from those that are measured.
INTERVAL = 0.01
#: Seconds after which a benchmark is aborted; more for more than 10,000 tasks.
PATIENCE = 600


def wait_until(is_over: Callable[[], bool], tasks: int = 1) -> None:
    """Wait for the end of a number of tasks.

    Raises:
        TimeoutError: if it does not come.
    """
    interval = INTERVAL * max(1.0, tasks / 1000)
    patience = PATIENCE * max(1.0, tasks / 10_000)
    deadline = time.monotonic() + patience
    while not is_over():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end after {patience:.0f} s")
        time.sleep(min(interval, 0.5))


def wait_for_idle_worker() -> None:
    """Wait until a worker has handled all messages that were sent before; exactly so if it has one process."""
    with tempfile.TemporaryDirectory() as directory:
        mark = Path(directory) / "mark"
        leave_mark.delay(str(mark))
        wait_until(mark.exists)
