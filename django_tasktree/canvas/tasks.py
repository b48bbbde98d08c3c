"""The tasks that stand in imported canvases where Celery has machinery of its own."""

from typing import Any

from celery import current_app, signature
from celery.app.task import Context
from celery.exceptions import ChordError
from celery.utils.functional import arity_greater

from django_tasktree.engine.specs import NodeError
from django_tasktree.failures import rebuild
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED
from django_tasktree.worker.context import current_node
from django_tasktree.worker.decorators import task_with_callbacks


@task_with_callbacks(name="django_tasktree.fork")
def fork() -> None:
    """Do nothing: the members of a group stand below."""


@task_with_callbacks(name="django_tasktree.map")
def each(task: str, items: list[Any]) -> list[Any]:
    """Call a task with each item, in this message, as ``celery.map`` does."""
    body = current_app.tasks[task]
    return [body(item) for item in items]


@task_with_callbacks(name="django_tasktree.starmap")
def each_starred(task: str, items: list[Any]) -> list[Any]:
    """Call a task with the arguments in each item, in this message, as ``celery.starmap`` does."""
    body = current_app.tasks[task]
    return [body(*item) for item in items]


@task_with_callbacks(name="django_tasktree.errback")
def errback(callback: dict[str, Any], body: int | None = None) -> Any:
    """Call an errback, in the way that suits it, as ``celery.backends.base`` does.

    Args:
        callback: its signature. It is given the request, the exception and the traceback if it takes more than one
            argument, and else the task id.
        body: the position of a chord's body that was not run, because its header failed; None: the node above failed.
    """
    row = current_node().row
    failed = NodeRun.objects.get(id=row.parent_id) if row.parent_id else None
    if body is not None:
        if failed is not None and failed.state in NODE_FAILED:
            # Not the header, but what came before it: Celery has never come to the chord.
            return None
        failed = NodeRun.objects.under(row.run_id, row.parent_id).get(position=body)
    assert failed is not None, "only the body of a chord may stand directly under a run"
    return _call(callback, failed, _error(failed, of_body=body is not None))


def _error(failed: NodeRun, *, of_body: bool) -> Exception:
    if of_body:
        return ChordError(f"a task in the header of the chord whose body is {failed.task} has failed")
    return rebuild(NodeError(failed.error_type, failed.error_message, failed.error_args, failed.traceback))


def _call(callback: dict[str, Any], failed: NodeRun, error: Exception) -> Any:
    made: Any = signature(callback, app=current_app)
    header = getattr(made.type, "__header__", None)
    if made.immutable:
        return made()
    if header is not None and arity_greater(header, 1):
        about = {"id": str(failed.task_id), "task": failed.task, "root_id": str(failed.run_id)}
        return made(Context(about), error, failed.traceback)
    return made(str(failed.task_id))
