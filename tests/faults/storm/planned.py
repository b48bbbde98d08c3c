"""Random trees whose final states are known in advance."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django_tasktree import ITEM, TaskTree
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.types import MessageOptions
from tests.model import Model, Shape
from tests.sample import leaks, outcomes
from tests.sample.storm_tasks import ITEMS, storm, storm_atomic, storm_late

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
    "is replaced": "SUCCESS",
    "starts a run": "SUCCESS",
    "starts a run in vain": "FAILURE",
    "waits": "SUCCESS",
    "sleeps": "SUCCESS",
    "maps": "SUCCESS",
    **LEAKS,
    **AWKWARD,
}
_KINDS = ["succeeds"] * 8 + ["atomic"] * 5 + ["late"] * 3 + ["once", "grows", "retries", "stops"] + ["fails"] * 2
#: Nodes whose task function, if they have one, writes no lines.
WITHOUT_LINES = ("waits", "sleeps", "maps", "starts a run", "starts a run in vain")
STARTS_A_RUN = ("is replaced", "starts a run", "starts a run in vain")
#: Nodes that can't be gather nodes; the last one has a task function.
_NO_GATHERS = [*WITHOUT_LINES, "is replaced"]
_TASKS = {"atomic": storm_atomic, "late": storm_late}


@dataclass(eq=False, repr=False)
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
    gather = parent.is_map or choose.random() < 0.15
    if not gather and choose.random() < 0.15:
        kind = choose.choice(_NO_GATHERS)
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
    if gather and choose.random() < 0.3:
        node.quorum = choose.choice([1, 2])
    if kind == "waits":
        node.wait = True
    if kind == "maps":
        node.is_map, node.tolerate, node.allow_failure = True, choose.choice([None, 0, 1, 2]), False
        node.children = [
            Planned(outcome=ENDS[item["kind"]], parent=node, label=f"{label}/{item['label']}", kind=item["kind"])
            for item in ITEMS
        ]
    if kind == "grows":
        node.children = [Planned(outcome="SUCCESS", parent=node, label="grown") for _ in range(2)]
    return node


def build(run, choose):
    """Build the tree of a plan."""
    tree = TaskTree(run.key, max_active=choose.choice([None, None, None, 3]))
    built: dict[int, NodeParent] = {id(run.top): tree}
    for planned in run.nodes.values():
        parent = built[id(planned.parent)]
        built[id(planned)] = _add(parent, planned)
    return tree


def _add(parent, planned):
    rules: dict[str, Any] = {"run_when": planned.run_when}
    if planned.kind == "maps":
        over = parent.output["items"] if _passes_on(planned) else ITEMS
        return parent.map(storm, over=over, kwargs=ITEM, tolerate=planned.tolerate, label=planned.label, **rules)
    rules["allow_failure"] = planned.allow_failure
    if planned.kind == "waits":
        return parent.wait_for("event", label=planned.label, **rules)
    if planned.kind == "sleeps":
        return parent.sleep(timedelta(seconds=planned.seconds or 0.01), label=planned.label, **rules)
    if planned.kind.startswith("starts a run"):
        kind = "fails" if planned.outcome == "FAILURE" else "succeeds"
        return parent.add_run("storm-part", {"kind": kind}, label=planned.label, **rules)
    return _add_task(parent, planned, rules)


def _add_task(parent, planned, rules):
    options: MessageOptions = {"on_worker_lost": "fail"} if planned.kind == "once" else {}
    add = partial(parent.gather, when=planned.quorum or "all") if planned.gather else parent.add_task
    return add(
        _TASKS.get(planned.kind, storm),
        kwargs={
            "label": planned.label,
            "kind": planned.kind,
            "seconds": planned.seconds,
            "given": _given(parent, planned),
        },
        **rules,
        **options,
    )


def _given(parent, planned):
    """Return the argument of a node: the outputs below the parent of a gather node, or the output of the parent."""
    if planned.gather:
        return parent.outputs
    if planned.parent.kind == "waits" and planned.run_when == "success":
        return parent.output
    return parent.output if _passes_on(planned) else None


def _passes_on(planned):
    """Return whether the parent of a node has a result of a task function when the node starts."""
    return planned.run_when == "success" and planned.parent.parent is not None and _has_token(planned.parent)


def _has_token(planned):
    return planned.outcome in ("SUCCESS", "STOP") and planned.kind not in ("once", "waits", "sleeps", "maps")


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
    while begun := [planned for planned in model.subtree(run.top) if planned.state in ("QUEUED", "WAITING")]:
        for planned in begun:
            if planned.state in ("QUEUED", "WAITING"):
                model.end(planned)
    return {planned.label: planned.state for planned in model.subtree(run.top)[1:] if _is_certain(planned)}


def _is_certain(planned):
    """Return whether the state of a node can be predicted: not what follows the items of a map that are stopped."""
    return planned.label != "grown" and not any(map(_depends_on_order, _with_those_above(planned)))


def _depends_on_order(planned):
    """Return whether the order in which the items of a map end decides on a node: an item, or a quorum of them."""
    above = planned.parent
    return above is not None and above.is_map and above.tolerate == 0 and (not planned.gather or bool(planned.quorum))


def _with_those_above(planned):
    while planned is not None:
        yield planned
        planned = planned.parent
