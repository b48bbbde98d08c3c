"""A model of the rules of trees, as the documentation states them: slow, and without stored intermediate results."""

from collections import defaultdict, deque
from dataclasses import dataclass, field, fields
from typing import Any

FAILED = ("FAILURE", "REVOKED")
OPEN = ("PENDING", "QUEUED", "WAITING")
STATES = {"STOP": "SUCCESS", "IGNORE": "SKIPPED"}


@dataclass(eq=False, repr=False)
class Shape:
    """A node of the model.

    Attributes:
        event: the event for which a wait node waits.
        result: what its task returns, and then the result that it has.
        key: that of its row; the order of the keys is that in which the nodes were made.
        run: the model of its sub-run.
    """

    run_when: str = "success"
    gather: bool = False
    wait: bool = False
    outcome: str = "SUCCESS"
    allow_failure: bool = False
    on_failure: str = "continue"
    tolerate: int | None = None
    quorum: int = 0
    is_map: bool = False
    parent: "Shape | None" = field(default=None, repr=False)
    children: list["Shape"] = field(default_factory=list)
    state: str = "PENDING"
    label: str | None = None
    event: str = ""
    result: Any = None
    key: Any = field(default=None, repr=False)
    run: "Model | None" = field(default=None, repr=False)

    def __repr__(self):
        """Show what is not the default."""
        shown = [(each, getattr(self, each.name)) for each in fields(self) if each.repr]
        differing = [f"{each.name}={value!r}" for each, value in shown if value not in (each.default, [])]
        return f"{type(self).__name__}({', '.join(differing)})"

    def _repr_pretty_(self, printer, _cycle):
        """Print it in a report of Hypothesis, which would show everything else."""
        printer.text(repr(self))


class Model:
    """A run: a tree of nodes and their states.

    Attributes:
        top: the node above the root nodes.
        above: for a sub-run: the model and the node that have started it.
        returns: computes the result of a run that has succeeded; it raises LookupError if there is none.
        state: that of the run.
    """

    def __init__(self, top, above=None, returns=lambda top: None):
        self.top, self.above, self.returns = top, above, returns
        self.state = "STARTED"
        self.depth = above[0].depth + 1 if above else 0
        self._events = defaultdict(list)
        self.end(top)

    def end(self, node, outcome=None):
        """End a node, by default as its task does, and decide what follows."""
        self._finish(node, outcome or node.outcome)
        self._follow(node)

    def wait_for_run(self, node, top, returns):
        """Let a sub-run take the place of a task."""
        node.state = "WAITING"
        node.run = Model(top, (self, node), returns)

    def send(self, event, payload):
        """Send an event, which ends the first node that waits for it, now or later."""
        self._events[event].append(payload)
        waiting = [node for node in self.subtree(self.top) if node.state == "WAITING" and node.event == event]
        if waiting:
            first = min(waiting, key=lambda node: node.key)
            self._take(first)
            self._follow(first)

    def _take(self, node):
        node.result = self._events[node.event].pop(0)
        self._finish(node, "SUCCESS")

    def _finish(self, node, outcome):
        node.state = STATES.get(outcome, outcome)
        node.result = node.result if node.state == "SUCCESS" else None
        for child in self.tasks(node):
            self.decide(child, "failure" if node.state in FAILED else "success")
        if outcome == "STOP":
            for child in node.children:
                child.state = "SKIPPED"
        if node.state in FAILED and not node.allow_failure:
            self.stop(node)

    def _follow(self, node):
        """Let events end the nodes that begin to wait after a node, and those after them; decide what follows."""
        ended = deque([node])
        while ended:
            for child in sorted(ended.popleft().children, key=lambda child: child.key or 0):
                if child.state == "WAITING" and self._events[child.event]:
                    self._take(child)
                    ended.append(child)
            while any(self.stop_rest(parent) | self.decide_gathers(parent) for parent in self.subtree(self.top)):
                pass
            if self.state == "STARTED" and self.settled(self.top):
                self._end_run("FAILURE" if self.failed(self.top) else "SUCCESS")

    def _end_run(self, state):
        self.state = state
        if self.above is None or self.above[1].state != "WAITING":
            return
        model, node = self.above
        if state == "SUCCESS":
            try:
                node.result = self.returns(self.top)
            except LookupError:
                state = "FAILURE"
        model.end(node, state)

    def stop(self, node):
        """Revoke what has not started below the topmost node that the failure of a node stops."""
        stops = [above for above in self.failing_with(node) if above.on_failure in ("stop", "terminate")]
        if stops:
            self.revoke(self.subtree(stops[-1]))
            if stops[-1] is self.top and self.state == "STARTED":
                self._end_run("FAILURE")

    def stop_rest(self, parent):
        """Revoke the rest of a map with more failures than are tolerated; return whether this changed anything."""
        items = self.tasks(parent)
        if parent.tolerate is None or self.few_have_failed(parent):
            return False
        revoked = self.revoke([below for item in items if not self.settled(item) for below in self.subtree(item)])
        before = [below.state for below in self.subtree(self.top)]
        self.stop(parent)
        return revoked or before != [below.state for below in self.subtree(self.top)]

    def revoke(self, nodes):
        """Revoke those of some nodes that have not ended, and their sub-runs; return whether there were any."""
        waiting = [node for node in nodes if node.state in OPEN]
        for node in waiting:
            node.state = "REVOKED"
            if node.run is not None and node.run.state == "STARTED":
                node.run.state = "REVOKED"
                node.run.revoke(self.subtree(node.run.top))
        return bool(waiting)

    def few_have_failed(self, parent):
        failed = [item for item in self.tasks(parent) if self.settled(item) and self.failed(item)]
        return len(failed) <= (parent.tolerate or 0)

    def failing_with(self, node):
        """Return a node and those above it that a failure of the node alone may fail."""
        found = [node]
        while node.parent is not None and (node.gather or node.parent.tolerate is None):
            node = node.parent
            found.append(node)
        return found

    def decide(self, child, outcome):
        """Queue or skip a child after the outcome of its parent; a wait node waits instead."""
        if child.state == "PENDING" and child.parent.state != "SKIPPED":
            begun = "WAITING" if child.wait else "QUEUED"
            child.state = begun if child.run_when in (outcome, "always") else "SKIPPED"

    def decide_gathers(self, parent):
        """Decide gather nodes once all else under their parent has settled; return whether there were any."""
        waiting = [child for child in parent.children if child.state == "PENDING" and child.gather]
        decided = [gather for gather in waiting if self.has_run(parent) and self.is_decided(gather)]
        for gather in decided:
            self.decide(gather, "failure" if self.fails(gather) else "success")
        return bool(decided)

    def is_decided(self, gather):
        tasks = self.tasks(gather.parent)
        left = [task for task in tasks if not self.settled(task)]
        if not gather.quorum:
            return not left
        succeeded = self.succeeded(tasks)
        return succeeded >= gather.quorum or succeeded + len(left) < gather.quorum

    def fails(self, gather):
        if not gather.quorum:
            return self.failed(gather.parent)
        own = gather.parent.state in FAILED and not gather.parent.allow_failure
        return own or self.succeeded(self.tasks(gather.parent)) < gather.quorum

    def succeeded(self, tasks):
        return sum(task.state == "SUCCESS" and self.settled(task) and not self.failed(task) for task in tasks)

    def settled(self, node):
        if node.state in OPEN:
            return False
        return not self.has_run(node) or all(map(self.settled, node.children))

    def failed(self, node):
        own = node.state in FAILED and not node.allow_failure
        gathers = any(self.failed(child) for child in node.children if child.gather)
        return own or gathers or not self.few_have_failed(node)

    def has_run(self, node):
        return node.state in ("SUCCESS", *FAILED)

    def tasks(self, node):
        return [child for child in node.children if not child.gather]

    def subtree(self, node):
        return [node, *(below for child in node.children for below in self.subtree(child))]
