"""What Celery tells of a node in the worker's parent process: hard time limits and lost pool processes."""

import logging
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request

from django_tasktree.worker.forking import parent_connections
from django_tasktree.worker.identity import sign
from django_tasktree.worker.lost import attempt_died, attempt_lost

logger = logging.getLogger(__name__)


class NodeRequest(Request):
    """A request that writes down what its pool process had no time to, and names its worker to the pool process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sign(self.request_dict)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """Fail the node whose body ran into its hard time limit."""
        # Celery's own result backend writes to the database too.
        with parent_connections():
            result = super().on_timeout(soft, timeout)
            if not soft:
                attempt_died(self.request_dict, self.id, TimeLimitExceeded(timeout))
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
        return result
