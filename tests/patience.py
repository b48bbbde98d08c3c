"""Wait for expected events, for so long that a busy machine fails no test."""

import time

#: In seconds. Only a failing test waits for so long.
PATIENCE = 240


def until(condition, what="the condition"):
    """Wait until a condition is true.

    Args:
        condition: a function without arguments.
        what: a description of the condition for the error, or a function that returns one.

    Returns:
        What the condition returned.

    Raises:
        AssertionError: it has not become true in time.
    """
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"{what() if callable(what) else what} has not come true"
        time.sleep(0.05)
    return value
