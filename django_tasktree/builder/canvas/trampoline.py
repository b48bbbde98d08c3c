"""Run generators that call each other, on an explicit stack.

Deeply nested canvases would exceed Python's recursion limit.
"""

from collections.abc import Generator
from typing import Any


def run(step: Generator[Any, Any, Any]) -> Any:
    """Run a generator that yields other generators, and return its return value.

    Each yielded generator is run in the same way; the value of the ``yield`` expression is its return value.

    Args:
        step: the outermost generator.
    """
    stack, value = [step], None
    while stack:
        callee, value = _resume(stack[-1], value)
        if callee is None:
            stack.pop()
        else:
            stack.append(callee)
    return value


def _resume(step: Generator[Any, Any, Any], value: Any) -> tuple[Generator[Any, Any, Any] | None, Any]:
    """Return the next generator that the step yields and None, or None and the step's return value."""
    try:
        return step.send(value), None
    except StopIteration as end:
        return None, end.value
