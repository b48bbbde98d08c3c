"""The result of a run: what ``returns()`` of its tree was called with, with the results of nodes."""

import json
from typing import Any

from django.db.models import Max
from kombu.utils import json as kombu_json

from django_tasktree.client.stored_value import stored_value
from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import find_all
from django_tasktree.encoding.references import Reference
from django_tasktree.encoding.stand_ins import take_out
from django_tasktree.exceptions import BrokenReference, NoResult
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.call_texts import is_reference
from django_tasktree.states import NodeState, RunState
from django_tasktree.worker.arguments import with_results

#: The maximum number of results that a page or a command reads for the result of a run.
_MAX_SHOWN = 1_000


def run_value(run: TreeRun) -> Any:
    """Return the result of a run that has ended.

    Args:
        run: the row of the run.

    Raises:
        NoResult: the tree has no result, or the run was revoked or stopped.
        BrokenReference: a node that the result refers to was not run, or its result has no such part.
        RowNotFound: a row of a model in the result does not exist any more.
        Exception: the exception of the task that failed first.
    """
    if run.state != RunState.SUCCESS:
        raise _reason(run)
    if run.returns is None:
        raise NoResult(f"run {run.id} has no result: call returns() of its tree before the launch, or read its nodes")
    return take_out(with_results(run.id, serialization.loads(run.returns)))


def _reason(run: TreeRun) -> Exception:
    failed = NodeRun.objects.filter(run_id=run.id, state=NodeState.FAILURE, allow_failure=False)
    node = failed.order_by("finished_at", "id").first()
    if run.state == RunState.FAILURE and node is not None:
        error: Exception = stored_value(node, propagate=False)
        return error
    why = f": {run.error_message}" if run.error_message else ""
    return NoResult(f"run {run.id} has no result, its state is {run.state}{why}")


def stored_run_value(run: TreeRun) -> str | None:
    """Return the result of a run as JSON in its stored form, without creating the objects that it describes.

    Args:
        run: the row of the run.

    Returns:
        None if it has none, or if it contains values that are pickled or can't be read. References take the place of
        results that are missing, or of more than ``_MAX_SHOWN`` results.
    """
    if run.returns is None or run.state != RunState.SUCCESS or serialization.is_pickled(run.returns):
        return None
    try:
        # Not with the decoders of types that the project has registered: this process may lack them.
        value = json.loads(run.returns, object_hook=_reference)
        if _is_large(run, value):
            return run.returns
        return json.dumps(with_results(run.id, value, json.loads))
    except BrokenReference:
        return run.returns
    except (ValueError, RecursionError):
        return None


def _reference(value: dict[str, Any]) -> Any:
    if value.keys() == {"__type__", "__value__"} and is_reference(value["__type__"], value["__value__"]):
        return kombu_json.object_hook(value)
    return value


def _is_large(run: TreeRun, value: Any) -> bool:
    references = list(find_all(value, Reference))
    if len(references) > _MAX_SHOWN:
        return True
    parents = {reference.node for reference in references if reference.kind != "output"}
    if run.id in parents and NodeRun.objects.root_count(run.id) > _MAX_SHOWN:
        return True
    most = NodeRun.objects.filter(id__in=parents).aggregate(most=Max("child_count"))["most"]
    return (most or 0) > _MAX_SHOWN
