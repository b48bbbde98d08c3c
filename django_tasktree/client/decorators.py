"""The decorators ``task_with_callbacks`` and ``run_with_callbacks``, named after those of celery-tasktree."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, TypeVar, cast, overload

from celery import Celery, Task, shared_task
from celery._state import (  # type: ignore[attr-defined]
    _get_active_apps,
    connect_on_app_finalize,
)

from django_tasktree.builder.chunks import check_chunk_task
from django_tasktree.client.task import CallbackTask
from django_tasktree.types import OnWorkerLostOption, P, R

if TYPE_CHECKING:

    class ChunkTask(CallbackTask[..., R], Generic[P, R]):
        """A task with ``chunk``: a node has the arguments and the result of one item, and a direct call has lists."""

        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Iterable[R | Exception]:  # type: ignore[override]
            """Call the task function."""


Run = TypeVar("Run", bound=Callable[..., Any])


@overload
def task_with_callbacks(function: Callable[P, R], /) -> CallbackTask[P, R]: ...


@overload
def task_with_callbacks(
    *, chunk: int, bind: Literal[False] = False, name: str | None = None, **options: Any
) -> "Callable[[Callable[P, Iterable[R | Exception]]], ChunkTask[P, R]]": ...


@overload
def task_with_callbacks(
    *, chunk: int, bind: Literal[True], name: str | None = None, **options: Any
) -> "Callable[[Callable[Concatenate[Any, P], Iterable[R | Exception]]], ChunkTask[P, R]]": ...


@overload
def task_with_callbacks(
    *,
    bind: Literal[False] = False,
    name: str | None = None,
    base: type[CallbackTask] = CallbackTask,
    atomic: bool | str = False,
    on_worker_lost: OnWorkerLostOption = "retry",
    max_deliveries: int | None = None,
    **options: Any,
) -> Callable[[Callable[P, R]], CallbackTask[P, R]]: ...


@overload
def task_with_callbacks(
    *,
    bind: Literal[True],
    name: str | None = None,
    base: type[CallbackTask] = CallbackTask,
    atomic: bool | str = False,
    on_worker_lost: OnWorkerLostOption = "retry",
    max_deliveries: int | None = None,
    **options: Any,
) -> Callable[[Callable[Concatenate[Any, P], R]], CallbackTask[P, R]]: ...


def task_with_callbacks(*args: Any, **options: Any) -> Any:
    """Turn a function into a shared task that can be a node of a tree, and takes ``callback`` outside trees.

    Use it with or without arguments. It takes the options of ``celery.shared_task`` and the attributes of
    :class:`CallbackTask`. The task has the parameters and the result of the function.

    Example::

        @task_with_callbacks
        def count(day):
            return Order.objects.filter(day=day).count()

        @task_with_callbacks(bind=True, atomic=True, max_retries=3)
        def book(self, order_id):
            ...

        @task_with_callbacks(chunk=50)
        def encode(texts):
            return model.encode(texts)

    Args:
        *args: the function, if the decorator is used without arguments.
        **options: options of ``celery.shared_task``, and attributes of :class:`CallbackTask`. A ``base`` must derive
            from :class:`CallbackTask`.

    Raises:
        TypeError: ``base`` does not derive from :class:`CallbackTask`.
        InvalidOption: ``chunk`` is not valid, or is not possible for the function.
    """
    base = options.setdefault("base", CallbackTask)
    if not (isinstance(base, type) and issubclass(base, CallbackTask)):
        raise TypeError(f"base={base!r} must derive from django_tasktree.CallbackTask")
    if options.get("chunk") is None:
        return shared_task(*args, **options)

    def decorate(function: Callable[..., Any]) -> Any:
        check_chunk_task(function, **options)
        return shared_task(**options)(function)

    return decorate(*args) if args else decorate


def run_with_callbacks(run: Run) -> Run:
    """Turn a class that derives from ``celery.Task`` into a task that can be a node of a tree; decorate its ``run``.

    The class is registered with every Celery application, like a shared task, under its ``name`` or its dotted path.

    Example::

        class Count(celery.Task):
            @run_with_callbacks
            def run(self, day):
                return Order.objects.filter(day=day).count()

    Args:
        run: the ``run`` method.

    Raises:
        TypeError: it is not the ``run`` method of a class that derives from ``celery.Task``. (Before Python 3.12, this
            is the cause of a ``RuntimeError``.)
    """
    return cast("Run", _PlaceholderRun(run))


class _PlaceholderRun:
    """A placeholder of ``run`` that restores the method and registers the class as soon as the class exists."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __set_name__(self, owner: type, name: str) -> None:
        if name != "run" or not issubclass(owner, Task):
            raise TypeError(
                f"@run_with_callbacks belongs on the run method of a celery.Task, not on {owner.__qualname__}.{name}"
            )
        type.__setattr__(owner, name, self._run)
        _share(_with_callback_base(owner))


def _with_callback_base(owner: type[Any]) -> type[Any]:
    """Return the class to register: the class itself, or a subclass of it that also derives from ``CallbackTask``."""
    if issubclass(owner, CallbackTask):
        return owner
    members = {"__module__": owner.__module__, "__qualname__": owner.__qualname__, "__doc__": owner.__doc__}
    cls = type(owner.__name__, (owner, CallbackTask), members)
    type.__setattr__(owner, "tasktree_registered", cls)
    return cls


def _share(cls: type[Any]) -> None:
    """Register a task class with all finalized Celery applications, and with each other one when it is finalized."""

    def register(app: Celery) -> Any:
        return app.register_task(cls())

    connect_on_app_finalize(register)
    for app in _get_active_apps():
        if app.finalized:
            with app._finalize_mutex:
                register(app)
