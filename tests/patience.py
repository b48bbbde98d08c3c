"""How long tests wait for what must come: so long that a busy machine fails none of them."""

import time

#: Seconds. What comes is noticed at once; only a test that fails takes so long.
PATIENCE = 240


def until(condition, what="the condition"):
    """Wait until a condition is true.

    Args:
        condition: a function without arguments.
        what: what is waited for, or a function that tells it, for the error.

    Returns:
        What the condition returned.

    Raises:
        AssertionError: it has not become true.
    """
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"{what() if callable(what) else what} has not come true"
        time.sleep(0.05)
    return value
