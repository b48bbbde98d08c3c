"""What the nodes of a run that steers others do: ask some rows each, and sum up at last."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, transaction

from django_tasktree import serialization
from django_tasktree.bulk_steering import STEERING, BulkOutcome, bulk, check_steering, retry_leaves
from django_tasktree.engine.history import InBackground, asked_before
from django_tasktree.engine.moves import write_alias
from django_tasktree.exceptions import Fenced
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from django_tasktree.text import cut_in_the_middle
from django_tasktree.worker.context import current_node

logger = logging.getLogger(__name__)

#: So many refusals are told, each in so many characters; of the others only how many there are.
_MOST_REASONS, _LONGEST_REASON = 20, 300
_MODELS: dict[str, type[TreeRun] | type[NodeRun]] = {"treerun": TreeRun, "noderun": NodeRun}


class Steered(TypedDict):
    """How a part, or all, of what was asked for has ended: the result of a node, so that JSON can hold it.

    Attributes:
        done: how many were handled.
        refused: how many did not allow it by their state, or failed.
        missing: how many did not exist any more.
        left: how many were not handled, since their node failed, was revoked or skipped.
        nodes: how many nodes were concerned.
        reasons: key -> why it was refused; the first of them.
    """

    done: int
    refused: int
    missing: int
    left: int
    nodes: int
    reasons: dict[str, str]


def steer_some(kind: str, verb: str, keys: list[UUID], by: str, options: Mapping[str, Any]) -> Steered:
    """Ask rows, but those that this very node has asked before, in an attempt that was lost.

    Args: see :func:`django_tasktree.tasks.steer`.

    Raises:
        ValueError: there is no such model or verb.
        TypeError: the verb takes no such option.
        Fenced: another attempt has taken over.
    """
    if kind not in _MODELS:
        raise ValueError(f"{kind!r} can't be steered: it is one of {', '.join(_MODELS)}")
    model = _MODELS[kind]
    check_steering(model, verb, dict(options))
    row = current_node().row
    run = TreeRun.objects.get(id=row.run_id)
    asker = InBackground(run.launched_by or by, row.id, current_node().task_id)
    before = asked_before(row.id, keys, of_nodes=model is NodeRun)
    rest = [key for key in keys if key not in before]
    outcome = BulkOutcome(retry_leaves(rest, asker) if model is NodeRun and verb == "retry" else {})
    for key in rest:
        if key not in outcome.done:
            _steer_one(model, key, verb, asker, options, outcome)
    found = _steered(outcome, before)
    if verb == "delete" and row.attempts > 1:
        # Nothing is left of what an attempt that was lost has deleted.
        found["done"], found["missing"] = found["done"] + found["missing"], 0
    return found


def _steer_one(
    model: type[TreeRun] | type[NodeRun],
    key: UUID,
    verb: str,
    asker: InBackground,
    options: Mapping[str, Any],
    outcome: BulkOutcome,
) -> None:
    if verb == "delete":
        # The other verbs find it out where they write the history.
        with transaction.atomic(using=write_alias()):
            asker.check()
    try:
        one: BulkOutcome = getattr(bulk(model.objects.filter(pk=key)), verb)(by=asker, **options)
    except (Fenced, SoftTimeLimitExceeded, OperationalError, InterfaceError):
        raise
    except Exception as exc:
        logger.exception("%s of %s %s failed", verb, model._meta.model_name, key)
        one = BulkOutcome(refused={key: f"{type(exc).__name__}: {exc}"})
    outcome.done |= one.done
    outcome.refused |= one.refused
    if key not in one.done and key not in one.refused:
        outcome.missing.append(key)


def _steered(outcome: BulkOutcome, before: Mapping[UUID, int]) -> Steered:
    return {
        "done": len(before) + len(outcome.done),
        "refused": len(outcome.refused),
        "missing": len(outcome.missing),
        "left": 0,
        "nodes": sum(before.values()) + sum(effect.moved for effect in outcome.done.values()),
        "reasons": _first((str(key), reason) for key, reason in outcome.refused.items()),
    }


def sum_of(run_id: UUID) -> Steered:
    """Add up the results of a run's nodes, which are read one after another.

    Args:
        run_id: a run that steers others.
    """
    parts = NodeRun.objects.filter(run_id=run_id, task=STEERING).order_by("id")
    found: Steered = {"done": 0, "refused": 0, "missing": 0, "left": 0, "nodes": 0, "reasons": {}}
    for state, text, args in parts.values_list("state", "result", "args").iterator(chunk_size=500):
        part: Any = serialization.read(text) if state == NodeState.SUCCESS and text else None
        if not isinstance(part, dict) or part.keys() != found.keys():
            found["left"] += len(serialization.read(args)[2])
            continue
        found["done"] += part["done"]
        found["refused"] += part["refused"]
        found["missing"] += part["missing"]
        found["nodes"] += part["nodes"]
        found["reasons"] = _first([*found["reasons"].items(), *part["reasons"].items()])
    return found


def _first(reasons: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: cut_in_the_middle(reason, _LONGEST_REASON) for key, reason in list(reasons)[:_MOST_REASONS]}
