"""What becomes of a node whose attempt was lost: its own options go before its task's attributes."""

from dataclasses import dataclass
from typing import Any

from django_tasktree import serialization
from django_tasktree.conf import settings
from django_tasktree.engine.moves import nodes
from django_tasktree.engine.specs import NodeRef
from django_tasktree.states import OnWorkerLost


@dataclass(frozen=True, slots=True)
class LossRule:
    """Whether the node runs again, and how often it is delivered at most, the first time included."""

    retries: bool
    max_deliveries: int


def rule_of(node: NodeRef, task: Any) -> LossRule:
    """Find the rule for a node.

    Args:
        node: the node.
        task: the task instance; None where this process does not know it.
    """
    stored = nodes().filter(id=node.id).values_list("options", flat=True).first()
    options = {} if stored is None else serialization.loads(stored)
    on_worker_lost = options.get("on_worker_lost") or getattr(task, "on_worker_lost", OnWorkerLost.RETRY)
    most = options.get("max_deliveries") or getattr(task, "max_deliveries", None) or settings.max_deliveries
    return LossRule(on_worker_lost == OnWorkerLost.RETRY, most)
