"""Which worker an attempt runs in: the worker's main process names itself in each request that it hands to its pool."""

from typing import Any
from uuid import UUID, uuid4

_KEY = "tasktree_worker"
_here: UUID | None = None


def assume() -> UUID:
    """Give this process, in which a worker starts, a new identity: a worker that starts again is another."""
    global _here
    _here = uuid4()
    return _here


def sign(request_dict: dict[str, Any]) -> None:
    """Write into a request by which worker it was received; pool processes see it, however they were started."""
    request_dict[_KEY] = None if _here is None else _here.hex


def worker_of(request: Any) -> UUID | None:
    """Tell which worker received a request.

    Args:
        request: as a task sees it.

    Returns:
        None where no worker did: in eager mode.
    """
    key: str | None = getattr(request, _KEY, None)
    return None if key is None else UUID(hex=key)
