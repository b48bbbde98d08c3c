"""The types in annotations of the public names, for the type checkers of projects.

The type variables have defaults, so that ``TaskTreeNode`` alone means ``TaskTreeNode[Any]``. Python supports defaults
since 3.13. Type checkers know ``typing_extensions`` even if it is not installed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict
from uuid import UUID

from django_tasktree.states import OnFailure, OnTimeout, OnWorkerLost, RunWhen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.forms import BaseForm
    from django.utils.functional import Promise
    from kombu import Exchange, Queue
    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
    R_co = TypeVar("R_co", covariant=True, default=Any)
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

RunWhenOption: TypeAlias = Literal["success", "failure", "always"] | RunWhen
OnFailureOption: TypeAlias = Literal["continue", "stop", "terminate"] | OnFailure
#: ``"all"``, ``"any"``, a number of nodes, or a share such as ``"80%"``.
WhenOption: TypeAlias = int | str
OnTimeoutOption: TypeAlias = Literal["failure", "success", "skip"] | OnTimeout
OnWorkerLostOption: TypeAlias = Literal["retry", "fail"] | OnWorkerLost


class TaskWithResult(Protocol[R_co]):
    """A task with the type of its result. Arguments are not typed, because they may be outputs of other nodes.

    It is a protocol, like :class:`SignatureWithResult`, because in a project without the stubs of Celery, Celery's own
    classes are ``Any``.
    """

    def run(self, *args: Any, **kwargs: Any) -> R_co:
        """Run the task function."""

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send the message of the task."""


class SignatureWithResult(Protocol[R_co]):
    """A signature of a task, with the type of the result."""

    def __call__(self, *args: Any, **kwargs: Any) -> R_co:
        """Run the task function."""

    def clone(self, *args: Any, **kwargs: Any) -> Any:
        """Return a copy of the signature."""


#: The type of the first argument of ``add_task``. The result of a registered name has the type ``Any``.
TaskLike: TypeAlias = TaskWithResult[R] | type[TaskWithResult[R]] | SignatureWithResult[R] | str


class MessageOptions(TypedDict, total=False):
    """The options of the message of a node, and of the handling of lost workers.

    ``countdown``, ``expires`` (if it is a number), ``soft_time_limit`` and ``time_limit`` are in seconds.
    """

    compression: str | None
    countdown: float | None
    eta: datetime | str | None
    exchange: str | Exchange | None
    expires: float | datetime | str | None
    ignore_result: bool | None
    max_deliveries: int | None
    on_worker_lost: OnWorkerLostOption | None
    priority: int | None
    queue: str | Queue | None
    routing_key: str | None
    serializer: str | None
    share_message: bool | None
    shadow: str | None
    soft_time_limit: float | None
    time_limit: float | None


class NodeOptions(MessageOptions, total=False):
    """The options of ``add_task`` and ``gather``; see :meth:`django_tasktree.TaskTree.add_task`."""

    label: str | None
    run_when: RunWhenOption
    allow_failure: bool
    on_failure: OnFailureOption
    max_active: int | None


class GatherOptions(NodeOptions, total=False):
    """The options of ``gather``; see :meth:`django_tasktree.TaskTree.gather`."""

    when: WhenOption


class MapOptions(MessageOptions, total=False):
    """The options of ``map``; see :meth:`django_tasktree.TaskTree.map`."""

    batch: int | None
    tolerate: int | str | None
    label: str | None
    run_when: RunWhenOption
    on_failure: OnFailureOption
    max_active: int | None


class WaitOptions(TypedDict, total=False):
    """The options of ``sleep``; see :meth:`django_tasktree.TaskTree.sleep`."""

    label: str | None
    run_when: RunWhenOption
    allow_failure: bool
    on_failure: OnFailureOption
    max_active: int | None


class WaitForOptions(WaitOptions, total=False):
    """The options of ``wait_for``; see :meth:`django_tasktree.TaskTree.wait_for`."""

    title: str | Promise | None
    description: str | Promise | None
    form: type[BaseForm] | None
    params: Callable[..., Any] | Mapping[str, Any] | None
    timeout: timedelta | None
    on_timeout: OnTimeoutOption
    default: Any
    remind_after: timedelta | None
    remind_every: timedelta | None


class TreeOptions(TypedDict, total=False):
    """The options of a tree; see :class:`django_tasktree.TaskTree`."""

    on_failure: OnFailureOption
    max_active: int | None


class LaunchOptions(TypedDict, total=False):
    """The options of a launch; see :meth:`django_tasktree.TaskTree.apply_async`."""

    key: str | None
    name: str | None
    launched_by: Any
    draft: bool
    eta: datetime | None
    countdown: float | None
    deadline: datetime | timedelta | None
    copy_of: UUID | None
    run_id: UUID | None
