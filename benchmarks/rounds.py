"""Rounds, in each of which every contender is measured once: what disturbs the machine disturbs all of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of measurements."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"  # noqa: RUF001  as in the documentation


def measured(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure contenders in turn; each round begins with another one, so that none always follows the same.

    Args:
        rounds: the number of rounds; one more, the first, is not counted.
        contenders: name -> runs the contender once, and returns the seconds.

    Returns:
        Name -> the seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(rounds + 1):
        for name in order:
            one = contenders[name]()
            if number:
                seconds[name].append(one)
        order = [*order[1:], order[0]]
    return seconds


def speed(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return how many times as fast as the other contender one was, by their seconds in the same rounds."""
    return Spread.of([other / mine for mine, other in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of measurements."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
