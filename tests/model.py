"""A model of the rules of trees, as the documentation states them: slow, and without stored intermediate results."""

from dataclasses import dataclass, field

FAILED = ("FAILURE", "REVOKED")
STATES = {"STOP": "SUCCESS", "IGNORE": "SKIPPED"}


@dataclass
class Shape:
    """A node of the model."""

    run_when: str = "success"
    gather: bool = False
    wait: bool = False
    outcome: str = "SUCCESS"
    allow_failure: bool = False
    on_failure: str = "continue"
    tolerate: int | None = None
    quorum: int = 0
    is_map: bool = False
    parent: "Shape | None" = None
    children: list["Shape"] = field(default_factory=list)
    state: str = "PENDING"


class Model:
    """A tree of nodes and their states."""

    def __init__(self, top):
        self.top = top
        self.end(top)

    def end(self, node):
        """End the task of a node, and decide what follows from its outcome."""
        node.state = STATES.get(node.outcome, node.outcome)
        for child in self.tasks(node):
            self.decide(child, "failure" if node.state in FAILED else "success")
        if node.outcome == "STOP":
            for child in node.children:
                child.state = "SKIPPED"
        if node.state in FAILED and not node.allow_failure:
            self.stop(node)
        while any(self.stop_rest(parent) | self.decide_gathers(parent) for parent in self.subtree(self.top)):
            pass

    def stop(self, node):
        """Revoke what has not started below the topmost node that the failure of a node stops."""
        stops = [above for above in self.failing_with(node) if above.on_failure in ("stop", "terminate")]
        if stops:
            self.revoke(self.subtree(stops[-1]))

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
        waiting = [node for node in nodes if node.state in ("PENDING", "QUEUED", "WAITING")]
        for node in waiting:
            node.state = "REVOKED"
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
        if node.state in ("PENDING", "QUEUED", "WAITING"):
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
