"""Diagrams of the states of nodes and runs, and of their transitions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django_tasktree.states import (
    NODE_FINAL,
    NODE_TRANSITIONS,
    RUN_FINAL,
    RUN_GOING,
    RUN_STOPPABLE,
    NodeState,
    RunState,
)
from docs.diagrams.svg import Drawing

_BOX, _HEIGHT, _ROW = 110, 32, 84
_LEFT, _RIGHT = 150.0, 600.0
#: The number of colours in the style sheet.
_HUES = 4


@dataclass(frozen=True)
class RunTransitions:
    """Transitions of runs that one module performs.

    Attributes:
        module: the module that writes the state.
        sources: the states before the transition.
        targets: the states after it. Each source can change to each of them.
        text: the condition.
    """

    module: str
    sources: frozenset[RunState]
    targets: frozenset[RunState]
    text: str


#: The transitions of runs, each with its reason. Together they are the table in ``states.py``: a test compares them.
RUN_TRANSITIONS = (
    RunTransitions(
        "engine.lifecycle.launch", frozenset({RunState.DRAFT}), frozenset({RunState.STARTED}), "a draft is launched"
    ),
    RunTransitions("engine.control.pause", frozenset({RunState.STARTED}), frozenset({RunState.PAUSED}), "it is paused"),
    RunTransitions(
        "engine.control.pause", frozenset({RunState.PAUSED}), frozenset({RunState.STARTED}), "it is resumed"
    ),
    RunTransitions(
        "engine.lifecycle.settle",
        RUN_GOING,
        frozenset({RunState.SUCCESS, RunState.FAILURE}),
        "all of its nodes have settled",
    ),
    RunTransitions(
        "engine.lifecycle.stop",
        RUN_STOPPABLE,
        frozenset({RunState.FAILURE, RunState.REVOKED}),
        "it is revoked, its deadline has passed, or a failure stops it",
    ),
    RunTransitions("engine.control.reset", RUN_FINAL, frozenset({RunState.STARTED}), "nodes are run again, or added"),
    RunTransitions(
        "engine.control.change",
        frozenset(RunState) - {RunState.CHANGING},
        frozenset({RunState.CHANGING}),
        "an action on more than ``BATCH_SIZE`` nodes begins",
    ),
    RunTransitions(
        "engine.control.change",
        frozenset({RunState.CHANGING}),
        RUN_GOING | RUN_FINAL,
        "the action has ended; the run continues, has ended, or is as it was before",
    ),
)


def run_transitions() -> dict[RunState, frozenset[RunState]]:
    """Return the possible next states of a run, by its current state."""
    return {
        state: frozenset[RunState]().union(
            *(transitions.targets for transitions in RUN_TRANSITIONS if state in transitions.sources)
        )
        for state in RunState
    }


def draw_nodes() -> Drawing:
    """Draw the states of nodes, according to the table in ``states.py``."""
    return _draw(
        "node-states",
        "The states of nodes",
        list(NodeState),
        NODE_FINAL,
        {state: NODE_TRANSITIONS[state] for state in NodeState},
    )


def draw_runs() -> Drawing:
    """Draw the states of runs."""
    return _draw(
        "run-states",
        "The states of runs",
        list(RunState),
        RUN_FINAL,
        dict(zip(RunState, run_transitions().values(), strict=True)),
    )


def _draw(
    name: str, title: str, states: Sequence[str], final: frozenset[str], transitions: Mapping[str, Iterable[str]]
) -> Drawing:
    """Draw final states on the right and the others on the left, each in the order of their definition."""
    description = "; ".join(f"{source} to {', '.join(sorted(transitions[source]))}" for source in states)
    return _Machine(Drawing(name, title, f"{description}."), states, final, transitions).drawing


class _Machine:
    def __init__(
        self, drawing: Drawing, states: Sequence[str], final: frozenset[str], transitions: Mapping[str, Iterable[str]]
    ) -> None:
        self.drawing = drawing
        self._left = [state for state in states if state not in final]
        self._right = [state for state in states if state in final]
        self._transitions = {
            source: [target for target in states if target in set(transitions[source])] for source in states
        }
        rows = max(len(self._left), len(self._right))
        self._y = {
            state: 44 + _ROW * (index + (rows - len(column)) / 2)
            for column in (self._left, self._right)
            for index, state in enumerate(column)
        }
        self._end_frame()
        for state in states:
            self._state(state)
        for source in self._left:
            self._onwards(source)
            self._among_themselves(source)
        self._back()

    def _state(self, state: str) -> None:
        x = _RIGHT if state in self._right else _LEFT
        self.drawing.box(x, self._y[state], _BOX, _HEIGHT, "box" if state in self._right else f"box {self._hue(state)}")
        self.drawing.text(x + _BOX / 2, self._y[state] + 20, state, anchor="middle", kind="name", size=11, mono=True)

    def _end_frame(self) -> None:
        top, bottom = self._y[self._right[0]], self._y[self._right[-1]] + _HEIGHT
        self.drawing.box(_RIGHT - 14, top - 12, _BOX + 28, bottom - top + 24, "frame")
        self.drawing.text(_RIGHT + _BOX + 14, bottom + 26, "final", size=10.5, anchor="end")
        self.drawing.text(_LEFT, self._y[self._left[-1]] + 60, "dashed: from each final state", size=10.5)

    def _hue(self, state: str) -> str:
        return f"hue-{self._left.index(state) % _HUES}"

    def _kind(self, source: str) -> str:
        """Return the classes of an arrow, with the colour of the box at which it starts."""
        return f"line {self._hue(source)}"

    def _onwards(self, source: str) -> None:
        """Draw the transitions to final states. Each arrow has its own place at both boxes, so that none overlaps."""
        targets = [target for target in self._transitions[source] if target in self._right]
        for index, target in enumerate(targets):
            sources = [one for one in self._left if target in self._transitions[one]]
            start = _port(self._y[source], index, len(targets))
            end = _port(self._y[target], sources.index(source), len(sources))
            left, right = _LEFT + _BOX, _RIGHT
            way = ((left + 150, start), (right - 150, end), (right, end))
            self.drawing.arrow((left, start), *way, kind=self._kind(source), curved=True)

    def _among_themselves(self, source: str) -> None:
        for target in self._transitions[source]:
            if target not in self._left:
                continue
            distance = self._left.index(target) - self._left.index(source)
            kind = self._kind(source)
            down = distance > 0
            if abs(distance) == 1:
                x = _LEFT + _BOX * (0.4 if down else 0.6)
                top, bottom = sorted((self._y[source], self._y[target]))
                ends = ((x, top + _HEIGHT), (x, bottom))
                self.drawing.arrow(*(ends if down else ends[::-1]), kind=kind)
            else:
                reach = 34.0 * abs(distance) - (0 if down else 18)
                start, end = self._y[source] + _HEIGHT * 0.35, self._y[target] + _HEIGHT * 0.65
                way = ((_LEFT - reach, start), (_LEFT - reach, end), (_LEFT, end))
                self.drawing.arrow((_LEFT, start), *way, kind=kind, curved=True)

    def _back(self) -> None:
        """Draw the transitions from final states, as arrows from their common frame.

        Raises:
            ValueError: a transition exists from some of them only, which the diagram can't show.
        """
        common = set(self._transitions[self._right[0]]).intersection(
            *(self._transitions[state] for state in self._right)
        )
        rest = {state: set(self._transitions[state]) - common for state in self._right}
        if any(rest.values()):
            raise ValueError(f"not every final state has these transitions, which the picture can't show: {rest}")
        for lane, target in enumerate(one for one in self._left if one in common):
            self._again(target, lane)

    def _again(self, target: str, lane: int) -> None:
        """Draw an arrow above all boxes, to the top of the first state or the left side of another one."""
        start, over = _RIGHT + _BOX / 2 - 14 * lane, 8.0 + 12 * lane
        if target == self._left[0]:
            x = _LEFT + _BOX / 2
            way = [(x, over), (x, self._y[target])]
        else:
            x, y = 28.0 - 12 * lane, self._y[target] + _HEIGHT * 0.5
            way = [(x, over), (x, y), (_LEFT, y)]
        self.drawing.arrow((start, self._y[self._right[0]] - 12), (start, over), *way, kind="line again")


def _port(top: float, index: int, count: int) -> float:
    return top + _HEIGHT * (index + 1) / (count + 1)
