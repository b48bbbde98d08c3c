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
        stops = [above for above in self.upwards(node) if above.on_failure in ("stop", "terminate")]
        if node.state in FAILED and not node.allow_failure and stops:
            for below in self.subtree(stops[-1]):
                if below.state in ("PENDING", "QUEUED", "WAITING"):
                    below.state = "REVOKED"
        while any(self.decide_gathers(parent) for parent in self.subtree(self.top)):
            pass

    def decide(self, child, outcome):
        """Queue or skip a child after the outcome of its parent; a wait node waits instead."""
        if child.state == "PENDING" and child.parent.state != "SKIPPED":
            begun = "WAITING" if child.wait else "QUEUED"
            child.state = begun if child.run_when in (outcome, "always") else "SKIPPED"

    def decide_gathers(self, parent):
        """Decide gather nodes once all else under their parent has settled; return whether there were any."""
        waiting = [child for child in parent.children if child.state == "PENDING" and child.gather]
        if not waiting or not self.has_run(parent) or not all(map(self.settled, self.tasks(parent))):
            return False
        outcome = "failure" if self.failed(parent) else "success"
        for gather in waiting:
            self.decide(gather, outcome)
        return True

    def settled(self, node):
        if node.state in ("PENDING", "QUEUED", "WAITING"):
            return False
        return not self.has_run(node) or all(map(self.settled, node.children))

    def failed(self, node):
        own = node.state in FAILED and not node.allow_failure
        return own or any(map(self.failed, node.children))

    def has_run(self, node):
        return node.state in ("SUCCESS", *FAILED)

    def tasks(self, node):
        return [child for child in node.children if not child.gather]

    def upwards(self, node):
        return [] if node is None else [node, *self.upwards(node.parent)]

    def subtree(self, node):
        return [node, *(below for child in node.children for below in self.subtree(child))]
