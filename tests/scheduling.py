"""The order in which tests run: no process is left alone at the end with a test that takes minutes."""

import os


def long_tests_first(items, processes=None):
    """Put the tests that are marked as long at the beginning of what each process runs.

    ``pytest --dist worksteal`` gives each process an equal share of the list to begin with.

    Args:
        items: all tests, in any order.
        processes: how many there are; by default what pytest-xdist says.
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
    # Shares that are too small for the long tests.
    return [*ordered, *(item for item in long if item not in ordered), *rest]
