"""The tasks of nodes in imported canvases that replace Celery's own code for groups, maps and errbacks."""

from typing import Any

from celery import current_app, signature
from celery.app.task import Context
from celery.exceptions import ChordError
from celery.utils.functional import arity_greater

from django_tasktree.client.decorators import task_with_callbacks
from django_tasktree.encoding.errors import rebuild
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED
from django_tasktree.worker.context import current_node


@task_with_callbacks(name="django_tasktree.fork")
def fork() -> None:
    """Do nothing: the node is only the parent of the members of a group."""


@task_with_callbacks(name="django_tasktree.xmap")
def each(task: str, items: list[Any]) -> list[Any]:
    """Call a task with each item, one after another in this process, as ``celery.map`` does.

    Args:
        task: the registered name of the task.
        items: one argument for each call.

    Returns:
        The results, in the order of the items.
    """
    function = current_app.tasks[task]
    return [function(item) for item in items]


@task_with_callbacks(name="django_tasktree.xstarmap")
def each_starred(task: str, items: list[Any]) -> list[Any]:
    """Call a task with the positional arguments in each item, one after another, as ``celery.starmap`` does.

    Args:
        task: the registered name of the task.
        items: the positional arguments of each call.

    Returns:
        The results, in the order of the items.
    """
    function = current_app.tasks[task]
    return [function(*item) for item in items]


@task_with_callbacks(name="django_tasktree.errback")
def errback(callback: dict[str, Any], body: int | None = None) -> Any:
    """Call an errback with the arguments that Celery would pass, and return its result.

    The rules are those of ``celery.backends.base``: an immutable signature is called without further arguments, a task
    that takes more than one argument with the request, the exception and the traceback, and any other with the task ID.

    Args:
        callback: the signature of the errback.
        body: the position of a chord's body (a gather node) that is skipped if the header fails; None for the errback
            of the parent.

    Returns:
        The result of the errback; None if a chord was never started because the parent failed.
    """
    row = current_node().row
    failed = NodeRun.objects.get(id=row.parent_id) if row.parent_id else None
    if body is not None:
        if failed is not None and failed.state in NODE_FAILED:
            # The parent failed, not the header. Celery would neither start the chord nor call its errback.
            return None
        failed = NodeRun.objects.under(row.run_id, row.parent_id).get(position=body)
    assert failed is not None, "only the errback of a chord's body can be directly under a run"
    return _call(callback, failed, _error(failed, of_body=body is not None))


def _error(failed: NodeRun, *, of_body: bool) -> Exception:
    if of_body:
        return ChordError(f"a task in the header of the chord whose body is {failed.task} has failed")
    return rebuild(NodeError(failed.error_type, failed.error_message, failed.error_args, failed.traceback))


def _call(callback: dict[str, Any], failed: NodeRun, error: Exception) -> Any:
    call: Any = signature(callback, app=current_app)
    header = getattr(call.type, "__header__", None)
    if call.immutable:
        return call()
    if header is not None and arity_greater(header, 1):
        request = {"id": str(failed.task_id), "task": failed.task, "root_id": str(failed.run_id)}
        return call(Context(request), error, failed.traceback)
    return call(str(failed.task_id))
