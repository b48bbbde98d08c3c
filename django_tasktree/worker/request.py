"""The request class of nodes: handles hard time limits and lost pool processes in the worker's parent process."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request

from django_tasktree.dispatch.message import HEADER
from django_tasktree.worker import task_events
from django_tasktree.worker.fork_safety import parent_connections
from django_tasktree.worker.held_requests import hold, restore_entry
from django_tasktree.worker.identity import stamp_request
from django_tasktree.worker.lost_attempts import attempt_broken, attempt_lost, attempt_timed_out, concerns_other_nodes

logger = logging.getLogger(__name__)


def _ending(on_success: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(on_success)
    def wrapper(self: "NodeRequest", *args: Any, **options: Any) -> Any:
        try:
            return on_success(self, *args, **options)
        finally:
            self.has_returned = True

    return wrapper


def _reporting_errors(execute_using_pool: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method so that exceptions of Celery's own code in a thread pool are handled; the pool drops them."""

    @wraps(execute_using_pool)
    def wrapper(self: "NodeRequest", *args: Any, **options: Any) -> Any:
        result = execute_using_pool(self, *args, **options)
        future = getattr(result, "f", None)
        if future is not None:
            future.add_done_callback(self.on_done)
        return result

    return wrapper


class NodeRequest(Request):
    """A request that stores the end of an attempt which its pool process could not store, and carries the worker's ID.

    Attributes:
        has_returned: whether the task function has ended, or Celery could not handle the message.
        received_at: when the worker received the message, by its monotonic clock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stamp_request(self.request_dict)
        task_events.stamp_request(self.request_dict, self.eventer)
        self.has_returned = False
        self.received_at = time.monotonic()
        if HEADER in self.request_dict:
            hold(self)

    @property
    def has_ended(self) -> bool:
        """Whether the task function has ended or will never run."""
        return self.has_returned or self._was_revoked

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap two methods of the subclass that Celery creates for each task, which defines its own for speed."""
        super().__init_subclass__(**options)
        for name, extend in (("execute_using_pool", _reporting_errors), ("on_success", _ending)):
            if name in cls.__dict__:
                setattr(cls, name, extend(cls.__dict__[name]))

    def on_done(self, future: Any) -> None:
        """Handle an exception of Celery's own code in a thread pool.

        Args:
            future: the finished future of the pool's executor.
        """
        exc = None if future.cancelled() else future.exception()
        if isinstance(exc, Exception):
            self.on_failure(ExceptionInfo((type(exc), exc, exc.__traceback__)))

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Fail the node if its task function exceeded its hard time limit.

        Args:
            soft: whether it is the soft time limit, which the task function handles itself.
            timeout: the limit, in seconds.
        """
        # Celery's result backend may write to the database too; if that fails, the node must be written all the same.
        with parent_connections():
            try:
                return super().on_timeout(soft, timeout)
            finally:
                if not soft:
                    attempt_timed_out(self.request_dict, self.id, TimeLimitExceeded(timeout))
                    self.has_returned = True

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Store the end of an attempt that ended outside its task function.

        The exception of the task function itself (``return_ok``) is in the node's row already.

        Args:
            exc_info: the exception, as billiard reports it.
            send_failed_event: see ``celery.worker.request.Request.on_failure``.
            return_ok: whether the pool process reported the exception itself.
        """
        exc = exc_info.exception
        if isinstance(exc, ExceptionWithTraceback):
            exc = exc.exc
        with parent_connections():
            # Celery would report a task as revoked although nobody revoked it: handle the loss of the process first.
            if isinstance(exc, Terminated) and not self._was_revoked:
                attempt_lost(self.request_dict, self.id, self.task, exc)
            try:
                return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            finally:
                self._write_end(exc, return_ok=return_ok, is_internal=bool(getattr(exc_info, "internal", False)))

    @property
    def store_errors(self) -> bool:
        """Whether Celery may store an error as the result of the message's task ID.

        It may not if the node of the message has ended, or runs elsewhere: the error is that of another node.
        """
        return super().store_errors and not concerns_other_nodes(self.request_dict, self.id)

    @property
    def _was_revoked(self) -> bool:
        return bool(getattr(self, "_already_revoked", False))

    def _write_end(self, exc: BaseException, *, return_ok: bool, is_internal: bool) -> None:
        self.has_returned = True
        if isinstance(exc, (WorkerLostError, SystemExit, KeyboardInterrupt)):
            attempt_lost(self.request_dict, self.id, self.task, exc)
        elif isinstance(exc, TimeLimitExceeded) and not return_ok:
            # Before on_timeout, the pool reports an exceeded hard time limit as a failure.
            attempt_timed_out(self.request_dict, self.id, exc)
        elif isinstance(exc, Ignore):
            # The message was a duplicate or out of date: the attempt may be running here under the same task ID.
            restore_entry(self.id)
        elif (is_internal or not return_ok) and not isinstance(exc, (Reject, Retry, Terminated)):
            # Celery itself failed: before the claim, or after the task function, whose outcome may not be stored.
            attempt_broken(self.request_dict, self.id, self.task, exc)
