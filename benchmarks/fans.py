"""Fan-outs of tasks that take some time."""

from dataclasses import dataclass

STRAGGLER = 10.0


@dataclass(frozen=True)
class Fan:
    """A fan-out.

    Attributes:
        name: the name in the table.
        seconds: how long each task function takes.
        nodes: the number of nodes.
        straggler: how long one more node takes, in the middle of the others; 0: there is none.
    """

    name: str
    seconds: float
    nodes: int
    straggler: float = 0.0

    def scaled(self, scale: float) -> "Fan":
        """Return the fan-out with the number of its nodes, and the time of the straggler, multiplied by a factor."""
        return Fan(self.name, self.seconds, max(2, round(self.nodes * scale)), self.straggler * scale)

    @property
    def durations(self) -> list[float]:
        """The seconds of each task function, in the order of the nodes."""
        middle = self.nodes // 2
        others = [self.seconds] * self.nodes
        return [*others[:middle], *([self.straggler] if self.straggler else []), *others[middle:]]

    def least(self, processes: int) -> float:
        """Return the shortest time in which processes without any overhead can run it, in seconds."""
        return max(max(self.durations), sum(self.durations) / processes)


FANS = (
    Fan("0 ms", 0.0, 1_000),
    Fan("1 ms", 0.001, 1_000),
    Fan("10 ms", 0.01, 1_000),
    Fan("100 ms", 0.1, 200),
    Fan("1 s", 1.0, 32),
    Fan("1 ms, one of 10 s", 0.001, 1_000, STRAGGLER),
)
