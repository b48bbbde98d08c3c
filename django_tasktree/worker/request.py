"""What Celery tells of a node in the worker's parent process: hard time limits and lost pool processes."""

import logging
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore
from celery.worker.request import Request

from django_tasktree.worker.forking import parent_connections
from django_tasktree.worker.held import hold, restore_entry
from django_tasktree.worker.identity import sign
from django_tasktree.worker.lost import attempt_died, attempt_lost
from django_tasktree.worker.message import HEADER

logger = logging.getLogger(__name__)


class NodeRequest(Request):
    """A request that writes down what its pool process had no time to, and names its worker to the pool process.

    Attributes:
        has_ended: whether the worker is done with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sign(self.request_dict)
        self._is_done = False
        if HEADER in self.request_dict:
            hold(self)

    @property
    def has_ended(self) -> bool:
        """Whether its body has ended, or will never run."""
        return self._is_done or bool(getattr(self, "_already_revoked", False))

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        """Note that the body has ended, well or not."""
        try:
            return super().on_success(failed__retval__runtime, **kwargs)
        finally:
            self._is_done = True

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Fail the node whose body ran into its hard time limit."""
        # Celery's own result backend writes to the database too.
        with parent_connections():
            result = super().on_timeout(soft, timeout)
            if not soft:
                attempt_died(self.request_dict, self.id, TimeLimitExceeded(timeout))
                self._is_done = True
        return result

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Take care of a node whose attempt ended outside its body.

        A body's own exception (``return_ok``) stands in the node's row already.
        """
        exc = exc_info.exception
        if isinstance(exc, ExceptionWithTraceback):
            exc = exc.exc
        with parent_connections():
            result = super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            if isinstance(exc, (WorkerLostError, SystemExit, KeyboardInterrupt)):
                attempt_lost(self.request_dict, self.id, self.task, exc)
            elif not return_ok:
                attempt_died(self.request_dict, self.id, exc)
        self._is_done = True
        if isinstance(exc, Ignore):
            # A void message: the attempt may be running here under the same task id.
            restore_entry(self.id)
        return result
