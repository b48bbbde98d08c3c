"""What task classes hang into a task's start: within a node it belongs to the attempt, as the task function does.

Celery's documentation lets a class override ``__call__`` and end it in ``self.run(…)``, and calls ``before_start``
first. What they raise before the claim would leave the node queued, and its message would be sent again and again.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django_tasktree.engine.specs import NodeRef
from django_tasktree.worker.message import HEADER, read_header


def enter_attempt(request: Any) -> NodeRef | None:
    """Return the attempt whose message a request is, the first time that it is asked.

    The body may call its own task again within the same request: that call is none of the node's.
    """
    if getattr(request, "tasktree_entered", False):
        return None
    node = read_header(request.headers, request.id)
    request.tasktree_entered = node is not None
    return node


def enter_body(request: Any) -> bool:
    """Return whether a call is that of a node's body, by the ``__call__`` of a subclass; True once for each request."""
    if not getattr(request, "tasktree_awaits_body", False):
        return False
    request.tasktree_awaits_body = False
    return True


def in_attempt(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make the ``__call__`` of a class a part of the attempt.

    Args:
        call: the function; its own ``super().__call__(…)`` or ``self.run(…)`` runs the body.
    """

    @wraps(call)
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        # The attempt's own code is above this module.
        node = enter_attempt(self.request)
        if node is None:
            return call(self, *args, **kwargs)
        self.request.tasktree_awaits_body = True
        return self.run_as_node(node, args, kwargs, lambda *given, **named: call(self, *given, **named))

    wrapper.runs_in_attempt = True  # type: ignore[attr-defined]
    return wrapper


def put_off(before_start: Callable[..., Any]) -> Callable[..., Any]:
    """Make the ``before_start`` of a class a part of the attempt: Celery's own call of it does nothing for a node.

    Args:
        before_start: the function.
    """

    @wraps(before_start)
    def wrapper(self: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        headers = self.request.headers or {}
        if HEADER in headers and not getattr(self.request, "tasktree_entered", False):
            return None
        return before_start(self, task_id, args, kwargs)

    wrapper.put_off = True  # type: ignore[attr-defined]
    return wrapper
