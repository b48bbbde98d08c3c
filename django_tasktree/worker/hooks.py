"""Run the hooks ``__call__`` and ``before_start`` of task classes inside the attempt at a node.

Celery allows a class to override ``__call__`` and to call ``self.run(…)`` from it, and Celery calls ``before_start``
first. An exception that they raised before the node is claimed would leave the node QUEUED, and its message would be
sent again and again.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django_tasktree.dispatch.message import HEADER, read_header
from django_tasktree.engine.types import NodeRef


def enter_attempt(request: Any) -> NodeRef | None:
    """Return the attempt that a request's message names, once per request.

    The task function may call its own task within the same request; such a call is not the node's attempt.

    Args:
        request: the request of the task (``task.request``).

    Returns:
        None at each later call, and if the message is not for a node.
    """
    if getattr(request, "tasktree_entered", False):
        return None
    node = read_header(request.headers, request.id)
    request.tasktree_entered = node is not None
    return node


def enter_body(request: Any) -> bool:
    """Return whether a call is the one by which a subclass's ``__call__`` runs a node's task function.

    Args:
        request: the request of the task (``task.request``).

    Returns:
        True at most once per request.
    """
    if not getattr(request, "tasktree_awaits_body", False):
        return False
    request.tasktree_awaits_body = False
    return True


def in_attempt(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``__call__`` that runs inside the attempt if its task runs as a node.

    Args:
        call: the ``__call__`` of a class; it runs the task function with ``super().__call__(…)`` or ``self.run(…)``.
    """

    @wraps(call)
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        # The task runs the attempt: CallbackTask.run_as_node.
        node = enter_attempt(self.request)
        if node is None:
            return call(self, *args, **kwargs)
        self.request.tasktree_awaits_body = True
        return self.run_as_node(node, args, kwargs, lambda *given, **named: call(self, *given, **named))

    wrapper.runs_in_attempt = True  # type: ignore[attr-defined]
    return wrapper


def put_off(before_start: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``before_start`` that does nothing when Celery calls it for a node.

    The attempt calls it again after the node is claimed.

    Args:
        before_start: the ``before_start`` of a class.
    """

    @wraps(before_start)
    def wrapper(self: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        headers = self.request.headers or {}
        if HEADER in headers and not getattr(self.request, "tasktree_entered", False):
            return None
        return before_start(self, task_id, args, kwargs)

    wrapper.put_off = True  # type: ignore[attr-defined]
    return wrapper
