"""The options of the command line."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How much to measure, and how to print it.

    Attributes:
        rounds: the number of rounds that count.
        scale_factor: multiplies the size of trees.
        largest: the largest fan-out, or map, whose cost per node is measured.
        rst: whether to print tables as reStructuredText.
    """

    rounds: int = 5
    scale_factor: float = 1.0
    largest: int = 1_000_000
    rst: bool = False
