"""The rule that decides whether a node whose attempt was lost runs again or fails."""

from dataclasses import dataclass
from typing import Any

from django_tasktree.conf import settings
from django_tasktree.encoding import serialization
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import NodeRef
from django_tasktree.states import OnWorkerLost


@dataclass(frozen=True, slots=True)
class RedeliveryPolicy:
    """What happens to a node whose attempt was lost.

    Attributes:
        retries: whether the node runs again; otherwise it fails.
        max_deliveries: how often the node is delivered at most, the first delivery included.
    """

    retries: bool
    max_deliveries: int


def redelivery_policy_of(node: NodeRef, task: Any) -> RedeliveryPolicy:
    """Return the rule for a node: the node's own options, else its task's attributes, else the project's settings.

    Args:
        node: the node.
        task: the task instance; None if it is not registered in this process.
    """
    stored = nodes().filter(id=node.id).values_list("options", flat=True).first()
    options = {} if stored is None else serialization.loads(stored)
    on_worker_lost = options.get("on_worker_lost") or getattr(task, "on_worker_lost", OnWorkerLost.RETRY)
    max_deliveries = options.get("max_deliveries") or getattr(task, "max_deliveries", None) or settings.max_deliveries
    return RedeliveryPolicy(on_worker_lost == OnWorkerLost.RETRY, max_deliveries)
