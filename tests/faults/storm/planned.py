"""Random trees whose final states are known in advance."""

import json
from dataclasses import dataclass, field
from uuid import UUID

from django_tasktree import TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.types import MessageOptions
from tests.model import Model, Shape
from tests.sample import leaks, outcomes
from tests.sample.storm_tasks import storm, storm_atomic, storm_late

#: The final state of a node, by what its task function does.
LEAKS = {f"leak {way}": "FAILURE" for way in leaks.WAYS}
#: Cases that take much time on a worker.
_HEAVY = {"huge message", "recursion", "nested too deep", "adds what is too deep"}
AWKWARD = {
    f"raise {name}": "FAILURE"
    for name, case in outcomes.CASES.items()
    if case.type and name not in _HEAVY and not name.startswith("reject")
}
ENDS = {
    "succeeds": "SUCCESS",
    "atomic": "SUCCESS",
    "late": "SUCCESS",
    "grows": "SUCCESS",
    "retries": "SUCCESS",
    "once": "SUCCESS",
    "stops": "STOP",
    "fails": "FAILURE",
    **LEAKS,
    **AWKWARD,
}
_KINDS = ["succeeds"] * 8 + ["atomic"] * 5 + ["late"] * 3 + ["once", "grows", "retries", "stops"] + ["fails"] * 2
_TASKS = {"atomic": storm_atomic, "late": storm_late}


@dataclass
class Planned(Shape):
    """A node of a planned tree.

    Attributes:
        label: its name within the run.
        kind: what its task function does.
        seconds: how long its task function takes.
    """

    label: str = ""
    kind: str = "succeeds"
    seconds: float = 0.0


@dataclass
class Run:
    """A launched run.

    Attributes:
        key: the key of its launch.
        top: the root of its plan.
        controlled: whether actions change it while it runs.
        id: of the run; None if the launch failed.
    """

    key: str
    top: Planned
    controlled: bool
    id: UUID | None = None
    nodes: dict[str, Planned] = field(default_factory=dict)


def a_run(choose, key, size, *, controlled):
    """Plan a run.

    Args:
        choose: random choices.
        key: the key of its launch.
        size: the number of nodes at the launch.
        controlled: whether actions will change it.
    """
    top = Planned(outcome="SUCCESS")
    run = Run(key, top, controlled)
    placed = [top]
    for number in range(size):
        parent = choose.choice(placed[-12:])
        node = _a_node(choose, f"n{number}", parent)
        parent.children.append(node)
        run.nodes[node.label] = node
        # Later nodes may be below gather nodes too.
        placed.append(node)
    return run


def _a_node(choose, label, parent):
    kind = choose.choice(_KINDS)
    if choose.random() < 0.08:
        kind = choose.choice([*LEAKS, *AWKWARD])
    gather = choose.random() < 0.15
    when = choose.choice(["success", "success", "success", "failure", "always"])
    if choose.random() < 0.7:
        # So that most of the tree is reached.
        when = choose.choice(["always", "failure" if parent.outcome == "FAILURE" else "success"])
    if parent.parent is None and not gather and when == "failure":
        when = "always"  # because "failure" is refused for root nodes
    seconds = choose.choice([0] * 8 + [0.05, 0.3, 2])
    node = Planned(
        when,
        gather,
        outcome=ENDS[kind],
        allow_failure=choose.random() < 0.1,
        parent=parent,
        label=label,
        kind=kind,
        seconds=seconds,
    )
    if kind == "grows":
        node.children = [Planned(outcome="SUCCESS", parent=node, label="grown") for _ in range(2)]
    return node


def build(run, choose):
    """Build the tree of a plan."""
    tree = TaskTree(run.key, max_active=choose.choice([None, None, None, 3]))
    built: dict[int, NodeParent] = {id(run.top): tree}
    for planned in run.nodes.values():
        parent = built[id(planned.parent)]
        add = parent.gather if planned.gather else parent.add_task
        options: MessageOptions = {"on_worker_lost": "fail"} if planned.kind == "once" else {}
        built[id(planned)] = add(
            _TASKS.get(planned.kind, storm),
            kwargs={
                "label": planned.label,
                "kind": planned.kind,
                "seconds": planned.seconds,
                "given": _given(parent, planned),
            },
            run_when=planned.run_when,
            allow_failure=planned.allow_failure,
            **options,
        )
    return tree


def _given(parent, planned):
    """Return the argument of a node: the outputs below the parent of a gather node, or the output of the parent."""
    if planned.gather:
        return parent.outputs
    if planned.run_when == "success" and planned.parent.parent is not None and _has_token(planned.parent):
        return parent.output
    return None


def _has_token(planned):
    return planned.outcome in ("SUCCESS", "STOP") and planned.kind != "once"


def expected(run, rows):
    """Predict the final states of a run that is not controlled.

    Args:
        run: the plan.
        rows: the run's rows by label; needed because a node that must not run twice may have been lost.

    Returns:
        States by label.
    """
    for label, planned in run.nodes.items():
        planned.state = "PENDING"
        if planned.kind == "once" and rows[label].error_type.endswith("WorkerLostError"):
            planned.outcome = "FAILURE"
    model = Model(run.top)
    while queued := [planned for planned in model.subtree(run.top) if planned.state == "QUEUED"]:
        for planned in queued:
            model.end(planned)
    return {label: planned.state for label, planned in run.nodes.items()}


def label_of(row):
    return json.loads(row.kwargs)["label"]
