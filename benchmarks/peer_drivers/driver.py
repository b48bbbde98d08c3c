"""Run shapes on request: a line ``shape size`` on standard input is answered by a line with the seconds."""

import sys
import time
from collections.abc import Callable

#: Seconds between two looks for the end; the same as for trees.
INTERVAL = 0.01
#: Seconds after which the driver gives up.
PATIENCE = 600

#: Makes a shape of a size, and returns a function that launches it. That returns a function that returns whether it has
#: ended.
Prepare = Callable[[int], Callable[[], Callable[[], bool]]]


def serve(shapes: dict[str, Prepare]) -> None:
    """Answer requests until the end of the input."""
    for line in sys.stdin:
        name, text = line.split()
        size = int(text)
        launch = shapes[name](size)
        started = time.perf_counter()
        is_over = launch()
        while not is_over():
            if time.perf_counter() - started > PATIENCE:
                sys.exit(f"no end of a {name} of {size} after {PATIENCE} s")
            time.sleep(INTERVAL * max(1.0, size / 1000))
        # Other output of the process must not be taken for an answer.
        sys.stdout.write(f"seconds {time.perf_counter() - started}\n")
        sys.stdout.flush()
