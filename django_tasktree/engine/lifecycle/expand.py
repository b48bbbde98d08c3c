"""expand: insert the children of a map node, batch by batch, while its attempt is running.

The children stay PENDING until the map node is finished, which releases them. If the attempt is lost, the next one
continues after the children that are there. If its items may be others, it makes all children again.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F

from django_tasktree.conf import settings
from django_tasktree.engine.database_retries import retry_transient, retry_transient_flagged
from django_tasktree.engine.deletion.added import remove_added
from django_tasktree.engine.lifecycle.insert import insert_nodes, lock_run_to_insert
from django_tasktree.engine.transitions import nodes, write_alias
from django_tasktree.engine.types import NodeRef, NodeSpec
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.models.querysets import NodeRunQuerySet
from django_tasktree.states import RUN_FINAL, Hold, NodeState


def made_children(node: NodeRef) -> int:
    """Return how many children earlier attempts at a map node have inserted."""
    return _made(node).count()


def insert_children(node: NodeRef, specs: Iterable[NodeSpec], first: int, tolerated: int | None) -> bool:
    """Insert children of a map node, with everything below them, in one transaction.

    Args:
        node: the attempt.
        specs: the nodes, each parent before its children.
        first: the position of the first child; those before it have been inserted.
        tolerated: how many children of the map may fail.

    Returns:
        False if nothing was inserted, because the run or the subtree was ended.

    Raises:
        StaleAttempt: another attempt has taken over, or the node has finished already; nothing was inserted.
    """
    inserted = list(specs)
    number = sum(spec.parent_id == node.id for spec in inserted)

    def attempt(again: bool) -> bool:
        with transaction.atomic(using=write_alias()):
            lock_run_to_insert(node.run_id)
            mine = _written(node, child_count=F("child_count") + number, tolerated=tolerated)
            hold, run_state = mine.values_list("hold", "run__state").get()
            is_ended = hold == Hold.REVOKED or run_state in RUN_FINAL
            # An earlier try may have committed although its reply was lost.
            if is_ended or (again and _made(node).filter(position=first).exists()):
                transaction.set_rollback(True, using=write_alias())
            else:
                insert_nodes(node.run_id, inserted, hold=Hold(hold), added_by=node.id)
            return not is_ended

    return retry_transient_flagged(attempt)


def complete_children(node: NodeRef, number: int, tolerated: int | None) -> int:
    """Place the nodes that gather the children of a map after these, when all children are there.

    Args:
        node: the attempt.
        number: how many children the map has, without gather nodes.
        tolerated: how many of them may fail.

    Returns:
        How many children the node has, with gather nodes.

    Raises:
        StaleAttempt: another attempt has taken over, or the node has finished already.
    """

    def attempt() -> int:
        with transaction.atomic(using=write_alias()):
            mine = _written(node, tolerated=tolerated)
            gathers = nodes().under(node.run_id, node.id).filter(is_gather=True).in_order()
            for place, (key, position) in enumerate(list(gathers.values_list("id", "position")), number):
                if position != place:
                    nodes().filter(id=key).update(position=place)
            count: int = mine.values_list("child_count", flat=True).get()
            return count

    return retry_transient(attempt)


def remove_children(node: NodeRef) -> None:
    """Delete the children that earlier attempts at a map node have inserted, with everything below them.

    The last ones are deleted first, batch by batch: if this process is lost, the first children are complete.

    Args:
        node: the attempt.

    Raises:
        StaleAttempt: another attempt has taken over, or the node has finished already.
        NotPossible: rows of other apps prevent the deletion of a node.
    """
    while retry_transient(partial(_remove_last, node)):
        pass


def _remove_last(node: NodeRef) -> bool:
    """Delete the last children, and return whether there were any."""
    with transaction.atomic(using=write_alias()):
        lock_run_to_insert(node.run_id)
        _written(node, revision=F("revision") + 1)
        last = list(_made(node).order_by("-position").values_list("id", flat=True)[: settings.batch_size])
        remove_added(node.run_id, last)
        return bool(last)


def _written(node: NodeRef, **values: Any) -> NodeRunQuerySet:
    """Write to the row of a map node, which locks it, and return its query.

    Raises:
        StaleAttempt: another attempt has taken over, or the node has finished already.
    """
    mine = nodes().filter(id=node.id, task_id=node.task_id, state=NodeState.STARTED)
    if not mine.update(**values):
        raise StaleAttempt.of(node.id, node.task_id)
    return mine


def _made(node: NodeRef) -> NodeRunQuerySet:
    return nodes().under(node.run_id, node.id).filter(added_at_runtime=True)
