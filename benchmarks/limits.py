"""Limits on what nodes cost, which ``python -m benchmarks smoke`` checks.

They are little above what is measured, which docs/benchmarks.rst shows: lower them when nodes cost less.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.usage import Usage


@dataclass(frozen=True)
class Limits:
    """The limits of a shape.

    Attributes:
        size: the size of the shape.
        statements: the most statements of a worker for each node.
        launch_statements: the most statements of the launch.
        messages: the most messages.
        updates: the most updates of rows for each node.
    """

    size: int
    statements: float
    launch_statements: int
    messages: int
    updates: float


#: Shape -> its limits.
LIMITS = {
    "group": Limits(1_000, statements=0.13, launch_statements=8, messages=5, updates=2.0),
    "chain": Limits(300, statements=1.1, launch_statements=2, messages=1, updates=3.1),
    "chord": Limits(500, statements=0.16, launch_statements=3, messages=1, updates=3.1),
    "map": Limits(500, statements=0.19, launch_statements=2, messages=1, updates=3.1),
    "tree": Limits(10, statements=0.6, launch_statements=6, messages=5, updates=3.1),
}


@dataclass(frozen=True)
class Checked:
    """A figure and its limit."""

    name: str
    figure: float
    limit: float
    is_kept: bool


def checked(limits: Limits, usage: "Usage") -> list[Checked]:
    """Compare what a shape costs with its limits."""
    most = [
        ("statements per node", usage.statements / usage.tasks, limits.statements),
        ("statements of the launch", usage.launch_statements, limits.launch_statements),
        ("messages", usage.messages, limits.messages),
        ("updates per node", usage.updates / usage.tasks, limits.updates),
    ]
    return [Checked(name, figure, limit, figure <= limit) for name, figure, limit in most]
