"""The places at which a task with ``chunk`` differs from others: its tracer, its arguments and its ``run``."""

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

from celery import Task, current_app

from django_tasktree.builder.chunks import ChunkFunction, check_chunk, chunk_size, is_chunk_lane
from django_tasktree.dispatch.message import HEADER, read_header
from django_tasktree.dispatch.publisher import eager_call
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.types import NodeRef
from django_tasktree.worker.arguments import fill_in
from django_tasktree.worker.chunk import Chunk, headed_by, member_of
from django_tasktree.worker.taking import Tracer, run_taken

logger = logging.getLogger(__name__)


def take_lists(cls: type[Any]) -> None:
    """Make the ``run`` of a task class call the task function for a chunk, if the class has one.

    Args:
        cls: the class of a task.

    Raises:
        InvalidOption: the chunk is not valid, or is not possible for the function.
    """
    run = inspect.getattr_static(cls, "run")
    if cls.chunk is None or run is inspect.getattr_static(Task, "run"):
        return
    name = cls.name or f"{cls.__module__}.{cls.__qualname__}"
    check_chunk(name, cls.chunk, atomic=cls.atomic, on_worker_lost=cls.on_worker_lost)
    if hasattr(run, "takes_one"):
        return
    is_static = isinstance(run, staticmethod)
    function = ChunkFunction(name, run.__func__ if is_static else run, takes_self=not is_static)

    def run_one(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run_in_chunk(self, function, args, kwargs)

    run_one.takes_one = True  # type: ignore[attr-defined]
    type.__setattr__(cls, "run", run_one)
    type.__setattr__(cls, "chunk_function", function)


def chunk_tracer(task: Any, tracer: Tracer) -> Tracer:
    """Return a tracer that runs the other nodes of a chunk after its head.

    Args:
        task: the task instance.
        tracer: the tracer that Celery has built for the task.
    """
    if task.chunk_function is None:
        return tracer

    @wraps(tracer)
    def trace(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        if not _is_head(task, uuid, request, request):
            return tracer(uuid, args, kwargs, request)
        with Chunk(task, uuid, is_eager=False) as chunk:
            result = tracer(uuid, args, kwargs, request)
            try:
                chunk.run_others(lambda dispatch: run_taken(task, dispatch, request))
            except Exception:
                # The head has ended well. This worker recovers the nodes that it has claimed.
                logger.exception("the other nodes of the chunk of message %s (%s) could not be run", uuid, task.name)
        return result

    return trace


def apply_chunk(task: Any, apply: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Run an eager node, and the other nodes of its chunk if it is the head of one.

    Args:
        task: the task instance.
        apply: runs the node.
        options: the options of ``apply_async``.
    """
    task_id = options.get("task_id")
    if task_id is None or not _is_head(task, task_id, options.get("headers"), options):
        return apply()
    with Chunk(task, task_id, is_eager=True) as chunk:
        result = apply()
        chunk.run_others(lambda dispatch: eager_call(current_app, dispatch)())
    return result


def _is_head(task: Any, task_id: str, headers: Any, options: Mapping[str, Any] | None) -> bool:
    """Return whether the process that runs a node may claim others for the same call; a retry runs alone."""
    node = read_header(headers, task_id)
    if node is None or chunk_size(task) == 1 or not is_chunk_lane(node.lane, task.name):
        return False
    return not (options or {}).get("retries") and member_of(task_id) is None


def arguments_of(task: Any, node: NodeRef, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments of an attempt, with references filled in; claim the other nodes of its chunk if it has one.

    Args:
        task: the task instance, with the message's request.
        node: the attempt.
        args: the positional arguments of the message.
        kwargs: the keyword arguments of the message.

    Raises:
        Exception: see :func:`django_tasktree.worker.arguments.fill_in`.
    """
    member = member_of(task.request.id)
    if member is not None:
        if member.bound is None and member.error is not None:
            raise member.error
        return member.args, member.kwargs
    if task.request.headers[HEADER].get("references", True):
        args, kwargs = retry_transient(partial(fill_in, node.run_id, args, kwargs))
    chunk = headed_by(task.request.id)
    if chunk is not None:
        chunk.gather(node)
    return args, kwargs


def run_in_chunk(task: Any, function: ChunkFunction, args: Any, kwargs: Any) -> Any:
    """Run the function of a task with ``chunk``.

    A message of the task has the arguments of one node, and gets one result. A direct call has lists, and gets a list.

    Args:
        task: the task instance.
        function: its function.
        args: the positional arguments.
        kwargs: the keyword arguments.
    """
    request = task.request
    if request.called_directly or getattr(request, "tasktree_in_chunk", False):
        return function(task, *args, **kwargs)
    # The function may call its own task with lists.
    request.tasktree_in_chunk = True
    member = member_of(request.id)
    if member is not None:
        return member.result(task)
    chunk = headed_by(request.id) or Chunk(task, request.id, is_eager=request.is_eager)
    return chunk.call(function, args, kwargs)
