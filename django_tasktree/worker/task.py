"""The base class of tasks that may be nodes of a tree."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from celery import Task
from celery.contrib.django.task import DjangoTask
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from django_tasktree.atomicity import atomic_alias
from django_tasktree.citizens import split_callbacks
from django_tasktree.engine.specs import NodeRef
from django_tasktree.failures import describe, presentable
from django_tasktree.schedule import message_times
from django_tasktree.worker.context import running_node
from django_tasktree.worker.execution import run_attempt
from django_tasktree.worker.hooks import enter_attempt, enter_body, in_attempt, put_off
from django_tasktree.worker.retry_arguments import RetryArguments

logger = logging.getLogger(__name__)


def _not_started(*_: Any) -> Any:
    raise ImproperlyConfigured("callbacks need 'django_tasktree' in INSTALLED_APPS, and django.setup()")


#: Launches a task with callbacks as a small run. Set by the app's start-up: trees are built on tasks, not below them.
launch_callbacks: Callable[..., Any] = _not_started


class CallbackTask(DjangoTask):  # type: ignore[type-arg]
    """A Celery task that knows its node.

    Outside trees it behaves as Celery's own, but for the keyword argument ``callback``.

    Attributes:
        atomic: True runs the body and writes the node's outcome in one transaction, on the database of the nodes: what
            the body writes there happens exactly once. An alias says that it must be that database.
        on_worker_lost: what becomes of a node whose worker process was lost while its body ran: ``"retry"`` runs it
            again, at most ``max_deliveries`` times in all; ``"fail"`` fails it.
        max_deliveries: how often a node is delivered in all, the first time included; by default the setting
            ``TASKTREE["MAX_DELIVERIES"]``.
    """

    abstract = True
    is_tasktree_citizen = True
    Request = "django_tasktree.worker.request:NodeRequest"
    atomic: bool | str = False
    on_worker_lost = "retry"
    max_deliveries: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Let what a class adds to its tasks, ``__call__`` and ``before_start``, run within a node's attempt."""
        super().__init_subclass__(**options)
        if not hasattr(cls.__call__, "runs_in_attempt"):
            type.__setattr__(cls, "__call__", in_attempt(cls.__call__))
        if cls.before_start is not Task.before_start and not hasattr(cls.before_start, "put_off"):
            type.__setattr__(cls, "before_start", put_off(cls.before_start))

    # Positional only: a task function may have an argument of that name.
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the body: as a node where a node's message is being handled, else as Celery would."""
        node = enter_attempt(self.request)
        if node is not None:
            return self.run_as_node(node, args, kwargs, self.run)
        if enter_body(self.request):
            return self.run(*args, **kwargs)
        return self._call_outside_trees(args, kwargs)

    __call__.runs_in_attempt = True  # type: ignore[attr-defined]

    def run_as_node(self, node: NodeRef, args: Any, kwargs: Any, body: Callable[..., Any]) -> Any:
        """Make the attempt that a message names; see :func:`django_tasktree.worker.execution.run_attempt`."""
        return run_attempt(self, node, args, kwargs, body)

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Send the task's message; with ``callback`` among the keyword arguments, launch a small run instead.

        Takes what ``celery.Task.apply_async`` takes.

        Returns:
            ``AsyncResult``, or the first node's ``NodeResult`` where there are callbacks.
        """
        if kwargs and "callback" in kwargs:
            rest, callbacks = split_callbacks(kwargs)
            if callbacks:
                return launch_callbacks(self, args, rest, callbacks, options)
            kwargs = rest
        return super().apply_async(args, kwargs, *more, **options)

    def signature_from_request(
        self, request: Any = None, args: Any = None, kwargs: Any = None, queue: Any = None, **options: Any
    ) -> Any:
        """Hold a node's retry back: its message must not be sent before the move to RETRY is committed."""
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
        """Retry the task; a node keeps the error of the exception itself, whatever Celery makes of it.

        Takes what ``celery.Task.retry`` takes.
        """
        node = running_node()
        if node is not None and isinstance(exc, BaseException) and str(node.task_id) == self.request.id:
            node.retry_error = describe(exc)
            exc = presentable(exc)
        return super().retry(args, kwargs, exc, *more, **options)

    def replace(self, sig: Any) -> Any:
        """Refuse inside a tree, where the replacement's end would be nobody's: grow the tree instead."""
        if running_node() is not None:
            raise NotImplementedError(
                f"task {self.name!r} runs as a node of a tree, where replace() is not available: "
                "add what is to follow with current_node().add_task(…) and return"
            )
        return super().replace(sig)

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
    """Stands for a retry's signature inside ``Task.retry``, which would send it at once."""

    def __init__(self, signature: Any) -> None:
        self._signature = signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signature, name)

    def apply_async(self) -> None:
        """Do nothing: the node's retry is sent once its row says so."""


def attach(value: Any, async_result: Any) -> None:
    """Give a returned object its children's result as ``async_result``, if it takes attributes at all."""
    try:
        value.async_result = async_result
    except (AttributeError, TypeError):
        logger.debug("a %s takes no attribute async_result", type(value).__qualname__)
