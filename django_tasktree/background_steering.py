"""What the nodes of a run that steers others do: ask some rows each, and sum up at last."""

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from uuid import UUID

from django_tasktree import serialization
from django_tasktree.bulk_steering import OF_NODES, OF_RUNS, BulkOutcome, bulk
from django_tasktree.engine.history import InBackground, asked_before
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from django_tasktree.worker.context import current_node

#: So many refusals are told, with the reason of each; of the others only how many there are.
_MOST_REASONS = 20


class Steered(TypedDict):
    """How a part, or all, of what was asked for has ended: the result of a node, so that JSON can hold it.

    Attributes:
        done: how many were asked.
        refused: how many it did not fit.
        missing: how many did not exist any more.
        nodes: how many nodes were concerned.
        reasons: key -> why it was refused; the first of them.
    """

    done: int
    refused: int
    missing: int
    nodes: int
    reasons: dict[str, str]


def steer_some(kind: str, verb: str, keys: list[UUID], by: str, options: Mapping[str, Any]) -> Steered:
    """Ask rows, but those that this very node has asked before, in an attempt that was lost.

    Args: see :func:`django_tasktree.tasks.steer`.

    Raises:
        ValueError: there is no such model or verb.
    """
    known: dict[str, tuple[type[TreeRun] | type[NodeRun], tuple[str, ...]]] = {
        "treerun": (TreeRun, OF_RUNS),
        "noderun": (NodeRun, OF_NODES),
    }
    if kind not in known or verb not in known[kind][1]:
        raise ValueError(f"{verb!r} can't be asked of {kind!r} in the background")
    model = known[kind][0]
    me = current_node()
    run = TreeRun.objects.get(id=me.run_id)
    before = asked_before(me.id, keys, of_nodes=model is NodeRun)
    rest = [key for key in keys if key not in before]
    asker = InBackground(run.launched_by or by, me.id)
    outcome: BulkOutcome = getattr(bulk(model.objects.filter(pk__in=rest)), verb)(by=asker, **options)
    return _steered(outcome, len(before), len(rest))


def _steered(outcome: BulkOutcome, before: int, rest: int) -> Steered:
    refused = {str(key): reason for key, reason in outcome.refused.items()}
    return {
        "done": before + len(outcome.done),
        "refused": len(refused),
        "missing": rest - len(outcome.done) - len(refused),
        "nodes": sum(effect.moved for effect in outcome.done.values()),
        "reasons": _first(refused.items()),
    }


def sum_of(run_id: UUID) -> Steered:
    """Add up the results of a run's nodes, which are read one after another.

    Args:
        run_id: a run that steers others.
    """
    parts = NodeRun.objects.filter(run_id=run_id, is_gather=False, state=NodeState.SUCCESS).in_order()
    found: Steered = {"done": 0, "refused": 0, "missing": 0, "nodes": 0, "reasons": {}}
    for text in parts.values_list("result", flat=True).iterator(chunk_size=500):
        part: Steered = serialization.loads(text or "{}")
        found["done"] += part["done"]
        found["refused"] += part["refused"]
        found["missing"] += part["missing"]
        found["nodes"] += part["nodes"]
        found["reasons"] = _first([*found["reasons"].items(), *part["reasons"].items()])
    return found


def _first(reasons: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(list(reasons)[:_MOST_REASONS])
