"""The base class of tasks that can be nodes of a tree."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, overload

from celery import Task
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Retry
from django.db import transaction

from django_tasktree.builder.atomicity import atomic_alias
from django_tasktree.builder.calls import split_callbacks
from django_tasktree.builder.chunks import ChunkFunction
from django_tasktree.builder.schedule import message_times
from django_tasktree.client.tree import TaskTree, launch_callbacks
from django_tasktree.encoding.errors import describe, presentable
from django_tasktree.engine.types import NodeRef
from django_tasktree.types import OnWorkerLostOption, P, R
from django_tasktree.worker.chunk_calls import apply_chunk, chunk_tracer, take_lists
from django_tasktree.worker.context import running_node
from django_tasktree.worker.execution import run_attempt
from django_tasktree.worker.hooks import enter_attempt, enter_body, in_attempt, put_off
from django_tasktree.worker.replacement import replace_by
from django_tasktree.worker.retry_arguments import RetryArguments
from django_tasktree.worker.taking import taking_tracer

if TYPE_CHECKING:
    from celery.canvas import Signature
    from celery.result import AsyncResult

    from django_tasktree.client.node_result import NodeResult

    Callbacks: TypeAlias = Signature[Any] | Sequence[Signature[Any]] | None

    class _DjangoTask(DjangoTask[P, R], Generic[P, R]):
        """Celery's class with type parameters, which its stubs have, but not the class itself in all versions."""

else:

    class _DjangoTask(DjangoTask, Generic[P, R]):
        abstract = True


logger = logging.getLogger(__name__)


class CallbackTask(_DjangoTask[P, R], Generic[P, R]):
    """A Celery task that can be a :term:`node` of a tree.

    Outside trees it behaves like Celery's own class, except for the keyword argument ``callback``.

    Attributes:
        atomic: True runs the task function and stores the node's outcome in one transaction, on the database of the
            nodes, so that what the task function writes there happens exactly once. An alias means the same, and is an
            error if the nodes are in another database.
        on_worker_lost: what happens to a node whose worker process was lost while its task function ran: ``"retry"``
            runs it again, up to ``max_deliveries`` times in total; ``"fail"`` fails it.
        max_deliveries: maximum number of deliveries of a node, including the first; by default the setting
            ``TASKTREE["MAX_DELIVERIES"]``.
        share_message: whether a worker process may run nodes of this task without a message of their own, after the
            node of a message and while they are short; see the setting ``TASKTREE["SHARE_MESSAGE_FOR"]``.
        chunk: maximum number of nodes for which the task function is called once, with a list for each parameter; it
            returns a list with one result for each node, in order. By default it is called for each node.
    """

    abstract = True
    supports_trees = True
    Request = "django_tasktree.worker.request:NodeRequest"
    atomic: bool | str = False
    on_worker_lost: OnWorkerLostOption = "retry"
    max_deliveries: int | None = None
    share_message: bool = True
    chunk: int | None = None
    #: The task function of a task with ``chunk``; ``run`` takes the arguments of one node.
    chunk_function: ChunkFunction | None = None

    @property
    def __trace__(self) -> Any:
        """The function with which Celery runs a message of this task in a worker; None before the first one."""
        return vars(self).get("_tracer")

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        self._tracer = None if tracer is None else taking_tracer(chunk_tracer(self, tracer))

    def __init_subclass__(cls, **options: Any) -> None:
        """Wrap ``__call__`` and ``before_start`` of a subclass, so that they run inside the attempt at a node.

        Wrap ``run`` if the class has ``chunk``.
        """
        super().__init_subclass__(**options)
        if not hasattr(cls.__call__, "runs_in_attempt"):
            type.__setattr__(cls, "__call__", in_attempt(cls.__call__))
        if cls.before_start is not Task.before_start and not hasattr(cls.before_start, "put_off"):
            type.__setattr__(cls, "before_start", put_off(cls.before_start))
        take_lists(cls)

    if TYPE_CHECKING:
        # Declared here for projects without the stubs of Celery.

        def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Run the task function."""

        @overload
        def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...
        @overload
        def delay(self, *args: Any, callback: Callbacks, **kwargs: Any) -> NodeResult[R]: ...
        def delay(self, *args: Any, **kwargs: Any) -> Any:
            """Send the message of the task; see :meth:`apply_async`."""

        def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
            """Return a signature of the task."""

        def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
            """Return an immutable signature of the task: it does not take the result of another task."""

    # Positional-only: a task function may have an argument named `self`.
    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, /, *args: Any, callback: "Callbacks", **kwargs: Any) -> R: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the task function: as a node if a worker handles the message of a node, otherwise as Celery does."""
        node = enter_attempt(self.request)
        if node is not None:
            return self.run_as_node(node, args, kwargs, self.run)
        if enter_body(self.request):
            return self.run(*args, **kwargs)
        return self._call_outside_trees(args, kwargs)

    __call__.runs_in_attempt = True  # type: ignore[attr-defined]

    def run_as_node(self, node: NodeRef, args: Any, kwargs: Any, body: Callable[..., Any]) -> Any:
        """Run the attempt that a message names; see :func:`django_tasktree.worker.execution.run_attempt`."""
        return run_attempt(self, node, args, kwargs, body)

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Send the message of the task, or launch a small run if the keyword arguments contain ``callback``.

        The arguments are those of ``celery.Task.apply_async``.

        Example::

            count.apply_async(kwargs={"day": "2025-01-31", "callback": [report.s("count"), mail.s()]})

        Args:
            args: positional arguments of the task.
            kwargs: keyword arguments of the task; and ``callback``, a signature or a list of them, which run once the
                task has succeeded.
            *more: see ``celery.Task.apply_async``.
            **options: see ``celery.Task.apply_async``.

        Returns:
            An ``AsyncResult``; or the ``NodeResult`` of the task's node if there are callbacks.
        """
        if kwargs and "callback" in kwargs:
            rest, callbacks = split_callbacks(kwargs)
            if callbacks:
                return launch_callbacks(self, args, rest, callbacks, options)
            kwargs = rest
        return super().apply_async(args, kwargs, *more, **options)

    def apply(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Run the task in this process; the arguments are those of ``celery.Task.apply``."""
        return apply_chunk(self, partial(super().apply, args, kwargs, *more, **options), options)

    def signature_from_request(
        self, request: Any = None, args: Any = None, kwargs: Any = None, queue: Any = None, **options: Any
    ) -> Any:
        """Return the signature of a retry, without sending it if the task runs as a node.

        The message of the retry must not be sent before the transition to RETRY is committed.
        """
        node = running_node()
        if node is None or str(node.task_id) != self.request.id:
            return super().signature_from_request(request, args, kwargs, queue, **options)
        given = RetryArguments(self, args, kwargs)
        signature = super().signature_from_request(request, given.args, given.kwargs, queue, **message_times(options))
        signature["options"] = given.mark(signature.options)
        node.retry_signature = signature
        node.retry_arguments = given.columns()
        return _HeldBack(signature) if not self.request.is_eager else signature

    def retry(self, args: Any = None, kwargs: Any = None, exc: Any = None, *more: Any, **options: Any) -> Any:
        """Retry the task, and keep the original exception as the error of the node.

        The arguments are those of ``celery.Task.retry``.
        """
        node = running_node()
        if node is None or str(node.task_id) != self.request.id:
            return super().retry(args, kwargs, exc, *more, **options)
        options |= zip(("throw", "eta", "countdown", "max_retries"), more, strict=False)
        if node.is_one_of_many and not (args is None and kwargs is None):
            raise TypeError(f"task {self.name!r} has chunk=, so that retry() keeps the arguments of each node")
        node.retry_options = {"exc": exc, **options}
        if isinstance(exc, BaseException):
            node.retry_error = describe(exc)
            exc = presentable(exc)
        try:
            return super().retry(args, kwargs, exc, **options)
        except Retry:
            raise
        except BaseException:
            # No retry is left: if the task function handles this exception, the attempt ends as the function does.
            node.retry_signature = None
            raise

    def replace(self, sig: Any) -> Any:
        """End the task, and let another task or canvas take its place: its result becomes that of the task.

        Inside a tree, the replacement becomes a :term:`sub-run` of the node. Outside trees, this is
        ``celery.Task.replace``.

        Example::

            @task_with_callbacks(bind=True)
            def count(self, day):
                return self.replace(chord([count_part.s(day, part) for part in range(4)], add_up.s()))

        Args:
            sig: a signature of any kind; of a group, the result is the list of the results of its members.

        Raises:
            celery.exceptions.Ignore: always, also in eager mode; do not catch it.
            UnsupportedCanvas, TaskNotSupported, UnknownTask, TypeError: see :meth:`TaskTree.from_canvas`.
            InvalidOption: the task function has added nodes to its node.
            NotInANode: the task has ``chunk``.
        """
        node = running_node()
        if node is None or (str(node.task_id) != self.request.id and not node.is_one_of_many):
            return super().replace(sig)
        return replace_by(TaskTree.from_canvas(sig))

    def _call_outside_trees(self, args: Any, kwargs: Any) -> Any:
        kwargs, callbacks = split_callbacks(kwargs)
        in_worker = not self.request.called_directly
        alias = atomic_alias(self)
        with nullcontext() if alias is None else transaction.atomic(using=alias):
            value = self.run(*args, **kwargs) if in_worker else Task.__call__(self, *args, **kwargs)
        if callbacks:
            attach(value, launch_callbacks(None, None, None, callbacks, {}))
        return value


class _HeldBack:
    """A wrapper of a retry's signature that prevents ``Task.retry`` from sending it immediately."""

    def __init__(self, signature: Any) -> None:
        self._signature = signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signature, name)

    def apply_async(self) -> None:
        """Do nothing: the retry is sent once the state RETRY is committed."""


def attach(value: Any, async_result: Any) -> None:
    """Set the attribute ``async_result`` of a task's result, if the object accepts attributes."""
    try:
        value.async_result = async_result
    except (AttributeError, TypeError):
        logger.debug("a %s takes no attribute async_result", type(value).__qualname__)
