"""The rows of the table of final states in docs/conditions.rst for trees of several nodes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django_tasktree import TaskTree
from tests.integration.engine.one_node_cases import as_cell
from tests.sample.tasks import echo, fail, ignore, stop


@dataclass(frozen=True)
class Several:
    """A tree of several nodes.

    Attributes:
        description: the first cell of the row.
        build: builds the tree, and names the nodes.
        final_states: the state of each node.
        run_state: the state of the run.
    """

    description: str
    build: Callable[[], tuple[TaskTree, dict[str, Any]]]
    final_states: dict[str, str]
    run_state: str

    def tree_and_nodes(self):
        return self.build()

    def run(self, wait):
        tree, nodes = self.build()
        result = tree.apply_async()
        run_state = wait(result)
        return [self._cell({name: result[node].state for name, node in nodes.items()}), as_cell([run_state])]

    @property
    def row(self):
        return [self.description, self._cell(self.final_states), as_cell([self.run_state])]

    @staticmethod
    def _cell(states):
        return ", ".join(f"{name} ``{state}``" for name, state in states.items())


SEVERAL = []


def several(description, final_states, run_state):
    """Register a function that builds a tree and names its nodes."""

    def register(build):
        states = dict(part.split(" ") for part in final_states.split(", "))
        SEVERAL.append(Several(description, build, states, run_state))
        return build

    return register


@several(
    'a node fails, and a child with ``run_when="failure"`` handles it',
    "broken FAILURE, handler SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    broken = tree.add_task(fail)
    return tree, {"broken": broken, "handler": broken.add_task(echo, run_when="failure")}


@several(
    "a node with ``allow_failure=True`` fails, and its handler fails too",
    "broken FAILURE, handler FAILURE, gather SKIPPED, otherwise SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    broken = tree.add_task(fail, allow_failure=True)
    handler = broken.add_task(fail, run_when="failure")
    otherwise = tree.gather(echo, run_when="failure")
    return tree, {"broken": broken, "handler": handler, "gather": broken.gather(echo), "otherwise": otherwise}


def deep(**rules):
    """Build a tree with a node that fails on the third level, and gather nodes on each level."""
    tree = TaskTree()
    top = tree.add_task(echo)
    middle = top.add_task(echo)
    broken = middle.add_task(fail, **rules)
    return tree, {
        "broken": broken,
        "middle's": middle.gather(echo),
        "top's": top.gather(echo),
        "tree's": tree.gather(echo),
        "otherwise": tree.gather(echo, run_when="failure"),
    }


@several(
    "a node fails, three levels down",
    "broken FAILURE, middle's SKIPPED, top's SKIPPED, tree's SKIPPED, otherwise SUCCESS",
    "FAILURE",
)
def _():
    return deep()


@several(
    "a node with ``allow_failure=True`` fails, three levels down",
    "broken FAILURE, middle's SUCCESS, top's SUCCESS, tree's SUCCESS, otherwise SKIPPED",
    "SUCCESS",
)
def _():
    return deep(allow_failure=True)


@several(
    "a node below a gather node fails: this affects the gather nodes above, not those next to it",
    "gather SUCCESS, broken FAILURE, other SUCCESS, tree's SKIPPED, otherwise SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo)
    gather = top.gather(echo)
    broken = gather.add_task(echo).add_task(fail)
    return tree, {
        "gather": gather,
        "broken": broken,
        "other": top.gather(echo),
        "tree's": tree.gather(echo),
        "otherwise": tree.gather(echo, run_when="failure"),
    }


@several("a node that has only a gather node under it", "top SUCCESS, gather SUCCESS", "SUCCESS")
def _():
    tree = TaskTree()
    top = tree.add_task(echo)
    return tree, {"top": top, "gather": top.gather(echo)}


@several("a tree that has only gather nodes", "gather SUCCESS, otherwise SKIPPED", "SUCCESS")
def _():
    tree = TaskTree()
    return tree, {"gather": tree.gather(echo), "otherwise": tree.gather(echo, run_when="failure")}


@several(
    "one of several gather nodes under one parent fails",
    "first FAILURE, second SUCCESS, third SUCCESS, tree's SKIPPED",
    "FAILURE",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo)
    gathers = [top.gather(task) for task in (fail, echo, echo)]
    return tree, dict(zip(("first", "second", "third", "tree's"), [*gathers, tree.gather(echo)], strict=True))


@several("a gather node is skipped", "gather SKIPPED, below PENDING, tree's SUCCESS", "SUCCESS")
def _():
    tree = TaskTree()
    gather = tree.add_task(echo).gather(echo, run_when="failure")
    return tree, {"gather": gather, "below": gather.add_task(echo), "tree's": tree.gather(echo)}


@several(
    "a child raises ``StopPropagation``: its parent's gather node runs",
    "child SUCCESS, below SKIPPED, gather SUCCESS",
    "SUCCESS",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo)
    child = top.add_task(stop)
    return tree, {"child": child, "below": child.add_task(echo), "gather": top.gather(echo)}


@several(
    "a child raises ``Ignore``: its parent's gather node runs",
    "child SKIPPED, below PENDING, gather SUCCESS",
    "SUCCESS",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo)
    child = top.add_task(ignore)
    return tree, {"child": child, "below": child.add_task(echo), "gather": top.gather(echo)}


@several(
    'a node below one with ``on_failure="stop"`` fails: the rest of the subtree is revoked, other nodes continue',
    "top SUCCESS, broken FAILURE, below REVOKED, top's REVOKED, other SUCCESS, tree's SKIPPED, otherwise SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo, on_failure="stop")
    broken = top.add_task(fail)
    return tree, {
        "top": top,
        "broken": broken,
        "below": broken.add_task(echo, run_when="failure"),
        "top's": top.gather(echo, run_when="always"),
        "other": tree.add_task(echo).add_task(echo),
        "tree's": tree.gather(echo),
        "otherwise": tree.gather(echo, run_when="failure"),
    }


@several(
    '``on_failure="stop"`` on a node, and on one below it: the upper one applies',
    "outer SUCCESS, inner SUCCESS, broken FAILURE, inner's REVOKED, outer's REVOKED, otherwise SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    outer = tree.add_task(echo, on_failure="stop")
    inner = outer.add_task(echo, on_failure="stop")
    return tree, {
        "outer": outer,
        "inner": inner,
        "broken": inner.add_task(fail),
        "inner's": inner.gather(echo, run_when="always"),
        "outer's": outer.gather(echo, run_when="always"),
        "otherwise": tree.gather(echo, run_when="failure"),
    }


@several(
    '``on_failure="stop"`` on the tree, and on a node: that of the tree applies',
    "top SUCCESS, broken FAILURE, top's REVOKED, otherwise REVOKED",
    "FAILURE",
)
def _():
    tree = TaskTree(on_failure="stop")
    top = tree.add_task(echo, on_failure="stop")
    return tree, {
        "top": top,
        "broken": top.add_task(fail),
        "top's": top.gather(echo, run_when="always"),
        "otherwise": tree.gather(echo, run_when="failure"),
    }


@several(
    'a node with ``allow_failure=True`` fails below one with ``on_failure="stop"``: nothing is stopped',
    "top SUCCESS, broken FAILURE, handler SUCCESS, gather SUCCESS",
    "SUCCESS",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo, on_failure="stop")
    broken = top.add_task(fail, allow_failure=True)
    handler = broken.add_task(echo, run_when="failure")
    return tree, {"top": top, "broken": broken, "handler": handler, "gather": top.gather(echo)}


@several(
    'a node with ``on_failure="stop"`` and ``allow_failure=True`` fails, and so does a node below it',
    "top FAILURE, broken FAILURE, gather REVOKED, otherwise SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    top = tree.add_task(fail, on_failure="stop", allow_failure=True)
    return tree, {
        "top": top,
        "broken": top.add_task(fail, run_when="failure"),
        "gather": top.gather(echo, run_when="always"),
        "otherwise": tree.gather(echo, run_when="failure"),
    }


@several(
    'a node below a gather node with ``on_failure="stop"`` fails',
    "gather SUCCESS, broken FAILURE, below REVOKED, other SUCCESS, otherwise SUCCESS",
    "FAILURE",
)
def _():
    tree = TaskTree()
    top = tree.add_task(echo)
    gather = top.gather(echo, on_failure="stop")
    broken = gather.add_task(fail)
    return tree, {
        "gather": gather,
        "broken": broken,
        "below": broken.add_task(echo, run_when="always"),
        "other": top.gather(echo),
        "otherwise": tree.gather(echo, run_when="failure"),
    }
