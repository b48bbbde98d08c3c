"""The outcome of a node that waits for a sub-run, when the sub-run has ended."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.utils.module_loading import import_string

from django_tasktree.builder.own_tasks import START_RUN
from django_tasktree.encoding import serialization
from django_tasktree.encoding.errors import describe
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.encoding.text import type_name
from django_tasktree.engine.database_retries import may_go_away
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.types import Outcome
from django_tasktree.exceptions import SubRunFailed
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState, RunState

logger = logging.getLogger(__name__)

#: Puts the results of nodes in the place of references. Only workers need that otherwise, in the layer above this one.
_WITH_RESULTS = "django_tasktree.worker.arguments.with_results"


def outcome_of(run: TreeRun, node: NodeRun) -> Outcome:
    """Return the outcome of a node.

    Args:
        run: the sub-run, which has ended.
        node: the node that waits for it.
    """
    if run.state != RunState.SUCCESS:
        return Outcome(NodeState.FAILURE, error=_error_of(run, node))
    try:
        return Outcome(NodeState.SUCCESS, result=_result_of(run))
    except Exception as exc:
        # Any value may be unreadable here, or too large: that is a failure of the node.
        if may_go_away(exc):
            raise
        logger.warning("node %s fails, because the result of its run %s can't be stored: %s", node.id, run.id, exc)
        return Outcome(NodeState.FAILURE, error=describe(exc))


def _result_of(run: TreeRun) -> str:
    if run.returns is None:
        return serialization.write(None, "max_result_size")
    with_results: Callable[..., Any] = import_string(_WITH_RESULTS)
    prefer = "pickle" if serialization.is_pickled(run.returns) else "json"
    value = with_results(run.id, serialization.loads(run.returns))
    return serialization.write(value, "max_result_size", prefer=prefer)


def _error_of(run: TreeRun, node: NodeRun) -> NodeError:
    """Return the error of a node whose sub-run has not succeeded.

    After ``replace()``, it is that of the task that failed first, as in Celery; the traceback names the run.
    """
    failed = nodes().filter(run_id=run.id, state=NodeState.FAILURE, allow_failure=False)
    first: NodeRun | None = failed.order_by("finished_at", "id").first()
    if first is None or run.state != RunState.FAILURE:
        why = f": {run.error_message}" if run.error_message else ""
        return describe(SubRunFailed(f"run {run.id} ({run.name}) has ended as {run.state}{why}"))
    error = NodeError(first.error_type, first.error_message, first.error_args, first.traceback)
    if first.error_type == type_name(SubRunFailed):
        # It names the innermost run: naming those between would make the text longer with each level.
        return error
    if node.task != START_RUN:
        return replace(error, traceback=f"In node {first.id} of run {run.id}:\n{first.traceback}")
    cause = f"node {first.id} ({first.title}): {first.error_type}: {first.error_message}"
    return replace(
        describe(SubRunFailed(f"run {run.id} ({run.name}) has failed at {cause}")), traceback=first.traceback
    )
