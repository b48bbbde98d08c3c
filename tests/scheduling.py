"""The order of the tests: long ones run first, so that no process is still busy when all others have finished."""

import os


def long_tests_first(items, processes=None):
    """Put the tests that are marked as long at the beginning of the share of each process.

    At first, ``pytest --dist worksteal`` assigns an equal share of the list to each process.

    Args:
        items: all tests, in any order.
        processes: their number; by default that of pytest-xdist.
    """
    processes = processes or int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    ordered, left = [], len(items)
    for process in range(processes):
        share = left // (processes - process)
        left -= share
        first = long[process::processes][:share]
        ordered += first
        ordered += rest[: share - len(first)]
        del rest[: share - len(first)]
    # Long tests for which the shares are too small come last.
    return [*ordered, *(item for item in long if item not in ordered), *rest]
