"""The task functions of a run that acts on many rows: each node handles some of them, the last adds up the results."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, transaction

from django_tasktree.builder.eligibility import ACT_IN_BACKGROUND
from django_tasktree.client.bulk import BulkOutcome, bulk, check_action, retry_leaves
from django_tasktree.control.changes import continue_change
from django_tasktree.encoding import serialization
from django_tasktree.encoding.text import cut_in_the_middle
from django_tasktree.engine.history import InBackground, asked_before, open_entries
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
from django_tasktree.worker.context import current_node

logger = logging.getLogger(__name__)

#: How many reasons of refusals a summary contains, and the maximum length of each in characters.
_MAX_REASONS, _MAX_REASON_LENGTH = 20, 300
_MODELS: dict[str, type[TreeRun] | type[NodeRun]] = {"treerun": TreeRun, "noderun": NodeRun}


class BulkSummary(TypedDict):
    """The outcome of an action on many rows, or on some of them. It is the result of a node, so JSON can store it.

    Attributes:
        done: number of rows that were handled.
        refused: number of rows whose state did not allow the action, or for which it failed.
        missing: number of rows that no longer existed.
        left: number of rows that were not handled because their node failed, or was revoked or skipped.
        nodes: number of nodes that were affected.
        reasons: the first 20 reasons, by the ID of the row that was refused.
    """

    done: int
    refused: int
    missing: int
    left: int
    nodes: int
    reasons: dict[str, str]


def act_on_some(kind: str, action: str, keys: list[UUID], by: str, options: Mapping[str, Any]) -> BulkSummary:
    """Carry out an action on rows, except those that an earlier, lost attempt of this node has handled.

    Args:
        kind: the name of the model: ``"treerun"`` or ``"noderun"``.
        action: the name of a method of :class:`django_tasktree.client.bulk.Bulk`.
        keys: the primary keys of the rows.
        by: the name of the user or program; used if the run has no user who launched it.
        options: further arguments of the method.

    Raises:
        ValueError: there is no such model or action.
        TypeError: the action does not take one of the options.
        StaleAttempt: another attempt has taken over.
    """
    if kind not in _MODELS:
        raise ValueError(f"there are no actions on {kind!r}: choose one of {', '.join(_MODELS)}")
    model = _MODELS[kind]
    check_action(model, action, dict(options))
    row = current_node().row
    run = TreeRun.objects.get(id=row.run_id)
    actor = InBackground(run.launched_by or by, row.id, current_node().task_id)
    for entry in open_entries(cause=row.id):
        continue_change(entry)
    before = asked_before(row.id, keys, of_nodes=model is NodeRun)
    rest = [key for key in keys if key not in before]
    outcome = BulkOutcome(retry_leaves(rest, actor) if model is NodeRun and action == "retry" else {})
    for key in rest:
        if key not in outcome.done:
            _act_on_one(model, key, action, actor, options, outcome)
    found = _summary(outcome, before)
    if action == "delete" and row.attempts > 1:
        # A lost attempt may have deleted them; deleted runs have no history that would show it.
        found["done"], found["missing"] = found["done"] + found["missing"], 0
    return found


def _act_on_one(
    model: type[TreeRun] | type[NodeRun],
    key: UUID,
    action: str,
    actor: InBackground,
    options: Mapping[str, Any],
    outcome: BulkOutcome,
) -> None:
    if action == "delete":
        # Deletion writes no history; the other actions make this check when they do.
        with transaction.atomic(using=write_alias()):
            actor.check()
    try:
        one: BulkOutcome = getattr(bulk(model.objects.filter(pk=key)), action)(by=actor, **options)
    except (StaleAttempt, SoftTimeLimitExceeded, OperationalError, InterfaceError):
        raise
    except Exception as exc:
        logger.exception("%s of %s %s failed", action, model._meta.model_name, key)
        one = BulkOutcome(refused={key: f"{type(exc).__name__}: {exc}"})
    outcome.done |= one.done
    outcome.refused |= one.refused
    if key not in one.done and key not in one.refused:
        outcome.missing.append(key)


def _summary(outcome: BulkOutcome, before: Mapping[UUID, int]) -> BulkSummary:
    return {
        "done": len(before) + len(outcome.done),
        "refused": len(outcome.refused),
        "missing": len(outcome.missing),
        "left": 0,
        "nodes": sum(before.values()) + sum(effect.moved for effect in outcome.done.values()),
        "reasons": _first((str(key), reason) for key, reason in outcome.refused.items()),
    }


def sum_of(run_id: UUID) -> BulkSummary:
    """Return the sum of the results of a run's nodes. The rows are read in chunks to limit memory use.

    Args:
        run_id: a run that :func:`django_tasktree.client.bulk.act_in_background` has launched.
    """
    parts = NodeRun.objects.filter(run_id=run_id, task=ACT_IN_BACKGROUND).order_by("id")
    found: BulkSummary = {"done": 0, "refused": 0, "missing": 0, "left": 0, "nodes": 0, "reasons": {}}
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
    return {key: cut_in_the_middle(reason, _MAX_REASON_LENGTH) for key, reason in list(reasons)[:_MAX_REASONS]}
