"""A sequence diagram of the life of a node, from its launch until it has settled."""

from dataclasses import dataclass
from itertools import pairwise

from docs.diagrams.svg import WIDTH, Drawing, wrapped

CALLER, DATABASE, BROKER, MAIN, POOL = "caller", "database", "broker", "worker,\nmain process", "worker,\npool process"
_X = {CALLER: 62.0, DATABASE: 236.0, BROKER: 398.0, MAIN: 556.0, POOL: 714.0}
_SIZE = 10.5
_LINE = _SIZE * 1.25


@dataclass(frozen=True)
class Step:
    """A step of one participant.

    Attributes:
        source: the participant that performs the step.
        target: the other participant; the same one if no other takes part.
        text: the description.
        modules: the chain of calls in the code: each module imports the next, and the last one performs the step.
    """

    source: str
    target: str
    text: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Mark:
    """A line across the diagram, with an event or the condition for the steps below it."""

    text: str


_CONCLUDE = ("worker.execution", "dispatch.after_commit")

#: The steps and marks, from top to bottom.
STEPS: tuple[Step | Mark, ...] = (
    Mark("Launch, in the caller's transaction"),
    Step(CALLER, CALLER, "make rows of the built nodes", ("client.tree", "dispatch.launch", "builder.plan")),
    Step(
        CALLER,
        DATABASE,
        "insert the run and its nodes; root nodes are QUEUED",
        ("dispatch.launch", "engine.lifecycle.launch"),
    ),
    Mark("commit"),
    Step(
        CALLER,
        BROKER,
        "a message for each root node",
        ("dispatch.launch", "dispatch.after_commit", "dispatch.publisher"),
    ),
    Mark("A worker takes the message"),
    Step(BROKER, MAIN, "deliver the message", ("worker.request",)),
    Step(MAIN, DATABASE, "with its heartbeats: which messages it holds", ("recovery.bootstep", "worker.heartbeat")),
    Step(MAIN, POOL, "pass it to a free process", ("client.task",)),
    Step(
        POOL,
        DATABASE,
        "claim: QUEUED becomes STARTED, if the message is that of the current attempt",
        ("worker.execution", "engine.lifecycle.claim"),
    ),
    Step(
        POOL,
        DATABASE,
        "read the results that its arguments refer to",
        ("worker.execution", "worker.chunk_calls", "worker.arguments"),
    ),
    Step(POOL, POOL, "run the task function", ("client.task", "worker.execution")),
    Step(
        POOL,
        DATABASE,
        "finish: write the outcome, insert the nodes that it has added",
        (*_CONCLUDE, "dispatch.follow_up", "engine.lifecycle.finish"),
    ),
    Step(
        POOL,
        DATABASE,
        "in the same transaction: children become QUEUED or SKIPPED",
        ("engine.lifecycle.finish", "engine.lifecycle.release"),
    ),
    Mark("commit"),
    Step(POOL, BROKER, "a message for each child that is QUEUED", (*_CONCLUDE, "dispatch.publisher")),
    Step(
        POOL,
        DATABASE,
        "without such children: settle, upwards; queue gather nodes; end the run",
        (*_CONCLUDE, "engine.lifecycle.settle"),
    ),
    Mark("If the pool process dies"),
    Step(MAIN, DATABASE, "queue the node again, or fail it", ("worker.request", "worker.lost_attempts")),
    Mark("If the whole worker dies: the main process of another worker"),
    Step(
        MAIN,
        DATABASE,
        "in its next sweep: queue the node again, or fail it",
        ("recovery.sweep", "recovery.nodes", "worker.lost_attempts"),
    ),
)


def draw() -> Drawing:
    """Draw the steps from top to bottom."""
    description = ". ".join(
        f"{one.source} to {one.target}: {one.text}" if isinstance(one, Step) else one.text for one in STEPS
    )
    drawing = Drawing("life", "One node's life", description.replace("\n", " "))
    for name, x in _X.items():
        drawing.box(x - 58, 2, 116, 34)
        first, *rest = name.split("\n")
        drawing.text(x, 16 if rest else 23, first, anchor="middle", kind="name")
        if rest:
            drawing.text(x, 30, rest[0], anchor="middle", kind="name")
    y, number = 52.0, 0
    marks: list[tuple[float, str]] = []
    for one in STEPS:
        if isinstance(one, Mark):
            marks.append((y + 6, one.text))
            y += 24
        else:
            number += 1
            y = _step(drawing, number, one, y)
    for x in _X.values():
        _lifeline(drawing, x, [36, *(top for top, _ in marks), y])
    for top, text in marks:
        drawing.box(4, top - 10, WIDTH - 8, 17, "mark")
        drawing.text(12, top + 2.5, text, size=_SIZE)
    return drawing


def _lifeline(drawing: Drawing, x: float, cuts: list[float]) -> None:
    """Draw the lifeline of a participant, interrupted at the marks."""
    for top, bottom in pairwise(cuts):
        drawing.line(
            (x, top + (0 if top == cuts[0] else 7)), (x, bottom - (0 if bottom == cuts[-1] else 10)), "lifeline"
        )


def _step(drawing: Drawing, number: int, step: Step, y: float) -> float:
    """Draw a step: text, arrow and module. Return the y coordinate of the next step, in pixels."""
    start, end = _X[step.source], _X[step.target]
    text, module = f"{number}. {step.text}", step.modules[-1]
    if start == end:
        return _own_step(drawing, text, module, start, y)
    left = min(start, end) + 8
    lines = wrapped(text, abs(end - start) - 14, _SIZE)
    base = drawing.lines(left, y + _SIZE, lines, size=_SIZE) - _LINE + 6
    drawing.arrow((start, base), (end, base))
    drawing.text(left, base + 12, module, size=9.5, mono=True, kind="module")
    return base + 22


def _own_step(drawing: Drawing, text: str, module: str, x: float, y: float) -> float:
    """Draw a step of a single participant beside its lifeline, on the side with more space."""
    side, anchor = (1, "start") if x < WIDTH / 2 else (-1, "end")
    drawing.arrow((x, y + 4), (x + side * 18, y + 4), (x + side * 18, y + 20), (x + side * 2, y + 20), curved=True)
    drawing.text(x + side * 26, y + 10, text, size=_SIZE, anchor=anchor)
    drawing.text(x + side * 26, y + 23, module, size=9.5, anchor=anchor, mono=True, kind="module")
    return y + 34
