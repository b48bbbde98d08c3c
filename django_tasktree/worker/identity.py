"""The ID of the worker that runs an attempt. The worker's main process writes it into each request for its pool."""

from typing import Any
from uuid import UUID, uuid4

_KEY = "tasktree_worker"
#: The ID of the worker of this process; None if no worker has started in it.
here: UUID | None = None


def new_worker_id() -> UUID:
    """Create the ID of the worker that starts in this process. A worker that starts again gets another ID."""
    global here
    here = uuid4()
    return here


def stamp_request(request_dict: dict[str, Any]) -> None:
    """Write this worker's ID into a request, so that pool processes see it, whether or not they were forked.

    Args:
        request_dict: the request as Celery hands it to the pool; it is changed.
    """
    request_dict[_KEY] = None if here is None else here.hex


def worker_of(request: Any) -> UUID | None:
    """Return the ID of the worker that received a request.

    Args:
        request: the request of the task (``task.request``).

    Returns:
        None in eager mode, where no worker received it.
    """
    key: str | None = getattr(request, _KEY, None)
    return None if key is None else UUID(hex=key)
