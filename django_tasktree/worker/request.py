"""What Celery tells of a node in the worker's parent process: hard time limits and lost pool processes."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request

from django_tasktree.worker.forking import parent_connections
from django_tasktree.worker.held import hold, restore_entry
from django_tasktree.worker.identity import sign
from django_tasktree.worker.lost import attempt_broken, attempt_died, attempt_lost
from django_tasktree.worker.message import HEADER

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
    """Report what Celery's own code raises in a pool of threads, which drops it."""

    @wraps(execute_using_pool)
    def wrapper(self: "NodeRequest", *args: Any, **options: Any) -> Any:
        result = execute_using_pool(self, *args, **options)
        future = getattr(result, "f", None)
        if future is not None:
            future.add_done_callback(self.on_done)
        return result

    return wrapper


class NodeRequest(Request):
    """A request that writes down what its pool process had no time to, and names its worker to the pool process.

    Attributes:
        has_returned: whether its body has ended, or Celery could not handle it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sign(self.request_dict)
        self.has_returned = False
        if HEADER in self.request_dict:
            hold(self)

    @property
    def has_ended(self) -> bool:
        """Whether its body has ended, or will never run."""
        return self.has_returned or self._was_revoked

    def __init_subclass__(cls, **options: Any) -> None:
        """Extend the methods that the subclass which Celery makes for each task has of its own, for speed."""
        super().__init_subclass__(**options)
        for name, extend in (("execute_using_pool", _reporting_errors), ("on_success", _ending)):
            if name in cls.__dict__:
                setattr(cls, name, extend(cls.__dict__[name]))

    def on_done(self, future: Any) -> None:
        """Handle an exception of Celery's own code in a pool of threads."""
        exc = None if future.cancelled() else future.exception()
        if isinstance(exc, Exception):
            self.on_failure(ExceptionInfo((type(exc), exc, exc.__traceback__)))

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Fail the node whose body ran into its hard time limit."""
        # Celery's own result backend writes to the database too; where it fails, the node is written all the same.
        with parent_connections():
            try:
                return super().on_timeout(soft, timeout)
            finally:
                if not soft:
                    attempt_died(self.request_dict, self.id, TimeLimitExceeded(timeout))
                    self.has_returned = True

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Take care of a node whose attempt ended outside its body.

        A body's own exception (``return_ok``) is in the node's row already.
        """
        exc = exc_info.exception
        if isinstance(exc, ExceptionWithTraceback):
            exc = exc.exc
        with parent_connections():
            # Celery announces a revocation of its own where nobody asked for one.
            if isinstance(exc, Terminated) and not self._was_revoked:
                attempt_lost(self.request_dict, self.id, self.task, exc)
            try:
                return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            finally:
                self._write_end(exc, return_ok=return_ok, is_internal=bool(getattr(exc_info, "internal", False)))

    @property
    def _was_revoked(self) -> bool:
        return bool(getattr(self, "_already_revoked", False))

    def _write_end(self, exc: BaseException, *, return_ok: bool, is_internal: bool) -> None:
        self.has_returned = True
        if isinstance(exc, (WorkerLostError, SystemExit, KeyboardInterrupt)):
            attempt_lost(self.request_dict, self.id, self.task, exc)
        elif isinstance(exc, Ignore):
            # A void message: the attempt may be running here under the same task id.
            restore_entry(self.id)
        elif (is_internal or not return_ok) and not isinstance(exc, (Reject, Retry, Terminated)):
            # Celery itself failed: before the claim, or after the body, whose outcome may not have been written.
            attempt_broken(self.request_dict, self.id, self.task, exc)
