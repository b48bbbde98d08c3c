"""The rows of the table of final states in docs/conditions.rst for one node, its children and its gather nodes."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.states import RunWhen
from tests.sample.tasks import echo, fail, ignore, stop


def as_cell(states):
    """Return states as the text of a table's cell."""
    return " / ".join(f"``{state}``" for state in states)


@dataclass(frozen=True)
class OneNode:
    """A root node with one child and one gather node for each ``run_when``.

    Attributes:
        description: the first cell of the row.
        final_states: the states of the node, of its children, of its gather nodes, and of the run.
        task: the task of the node.
        node: the rules and options of the node.
        tree: the rules of the tree.
        after_success: whether the node is below a node that succeeds.
    """

    description: str
    final_states: tuple[str, str, str, str]
    task: Any = echo
    node: dict[str, Any] = field(default_factory=dict)
    tree: dict[str, Any] = field(default_factory=dict)
    after_success: bool = False

    def tree_and_nodes(self):
        tree = TaskTree(**self.tree)
        above = tree.add_task(echo) if self.after_success else tree
        node = above.add_task(self.task, **self.node)
        children = [node.add_task(echo, run_when=when) for when in RunWhen]
        gathers = [node.gather(echo, run_when=when) for when in RunWhen]
        return tree, (node, children, gathers)

    def run(self, wait):
        tree, (node, children, gathers) = self.tree_and_nodes()
        result = tree.apply_async()
        run_state = wait(result)
        return [
            as_cell([result[node].state]),
            *(as_cell(result[other].state for other in family) for family in (children, gathers)),
            as_cell([run_state]),
        ]

    @property
    def row(self):
        return [self.description, *(as_cell(states.split()) for states in self.final_states)]


EXPIRED = {"expires": timezone.now() - timedelta(hours=1)}
ALLOWED = {"allow_failure": True}
STOP = {"on_failure": "stop"}

ONE_NODE = [
    OneNode("returns", ("SUCCESS", "SUCCESS SKIPPED SUCCESS", "SUCCESS SKIPPED SUCCESS", "SUCCESS")),
    OneNode(
        "raises an exception",
        ("FAILURE", "SKIPPED SUCCESS SUCCESS", "SKIPPED SUCCESS SUCCESS", "FAILURE"),
        fail,
    ),
    OneNode(
        "raises an exception, with ``allow_failure=True``",
        ("FAILURE", "SKIPPED SUCCESS SUCCESS", "SUCCESS SKIPPED SUCCESS", "SUCCESS"),
        fail,
        ALLOWED,
    ),
    OneNode(
        "expires, or is revoked",
        ("REVOKED", "SKIPPED SUCCESS SUCCESS", "SKIPPED SUCCESS SUCCESS", "FAILURE"),
        node=EXPIRED,
    ),
    OneNode(
        "expires, or is revoked, with ``allow_failure=True``",
        ("REVOKED", "SKIPPED SUCCESS SUCCESS", "SUCCESS SKIPPED SUCCESS", "SUCCESS"),
        node=EXPIRED | ALLOWED,
    ),
    OneNode(
        "is skipped",
        ("SKIPPED", "PENDING PENDING PENDING", "PENDING PENDING PENDING", "SUCCESS"),
        node={"run_when": "failure"},
        after_success=True,
    ),
    OneNode(
        "raises ``StopPropagation``",
        ("SUCCESS", "SKIPPED SKIPPED SKIPPED", "SKIPPED SKIPPED SKIPPED", "SUCCESS"),
        stop,
    ),
    OneNode(
        "raises ``Ignore``",
        ("SKIPPED", "PENDING PENDING PENDING", "PENDING PENDING PENDING", "SUCCESS"),
        ignore,
    ),
    OneNode(
        'raises an exception, with ``on_failure="stop"``',
        ("FAILURE", "SKIPPED REVOKED REVOKED", "REVOKED REVOKED REVOKED", "FAILURE"),
        fail,
        STOP,
    ),
    OneNode(
        'expires, or is revoked, with ``on_failure="stop"``',
        ("REVOKED", "SKIPPED REVOKED REVOKED", "REVOKED REVOKED REVOKED", "FAILURE"),
        node=EXPIRED | STOP,
    ),
    OneNode(
        'raises an exception, with ``on_failure="stop"`` and ``allow_failure=True``',
        ("FAILURE", "SKIPPED SUCCESS SUCCESS", "SUCCESS SKIPPED SUCCESS", "SUCCESS"),
        fail,
        STOP | ALLOWED,
    ),
    OneNode(
        'raises an exception, in a tree with ``on_failure="stop"``',
        ("FAILURE", "SKIPPED REVOKED REVOKED", "REVOKED REVOKED REVOKED", "FAILURE"),
        fail,
        tree=STOP,
    ),
    OneNode(
        'raises an exception, with ``allow_failure=True``, in a tree with ``on_failure="stop"``',
        ("FAILURE", "SKIPPED SUCCESS SUCCESS", "SUCCESS SKIPPED SUCCESS", "SUCCESS"),
        fail,
        ALLOWED,
        tree=STOP,
    ),
    OneNode(
        'raises ``StopPropagation``, in a tree with ``on_failure="stop"``',
        ("SUCCESS", "SKIPPED SKIPPED SKIPPED", "SKIPPED SKIPPED SKIPPED", "SUCCESS"),
        stop,
        tree=STOP,
    ),
    OneNode(
        'raises ``Ignore``, in a tree with ``on_failure="stop"``',
        ("SKIPPED", "PENDING PENDING PENDING", "PENDING PENDING PENDING", "SUCCESS"),
        ignore,
        tree=STOP,
    ),
]
