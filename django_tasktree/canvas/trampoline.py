"""Run generators that call each other, without a stack that grows with their depth: canvases nest very deeply."""

from collections.abc import Generator
from typing import Any


def run(step: Generator[Any, Any, Any]) -> Any:
    """Run a generator that yields the generators whose return values it needs.

    Args:
        step: the outermost one.

    Returns:
        What it returns.
    """
    stack, value = [step], None
    while stack:
        below, value = _resume(stack[-1], value)
        if below is None:
            stack.pop()
        else:
            stack.append(below)
    return value


def _resume(step: Generator[Any, Any, Any], value: Any) -> tuple[Generator[Any, Any, Any] | None, Any]:
    """Go on to the next generator that is needed, or to the return value."""
    try:
        return step.send(value), None
    except StopIteration as end:
        return None, end.value
