"""The decorators of celery-tasktree."""

from collections.abc import Callable
from typing import Any, overload

from celery import Celery, Task, shared_task
from celery._state import (  # type: ignore[attr-defined]
    _get_active_apps,
    connect_on_app_finalize,
)

from django_tasktree.worker.task import CallbackTask


@overload
def task_with_callbacks(function: Callable[..., Any], /) -> Any: ...


@overload
def task_with_callbacks(**options: Any) -> Callable[[Callable[..., Any]], Any]: ...


def task_with_callbacks(*args: Any, **options: Any) -> Any:
    """Make a function a task that may be a node of a tree, and that takes ``callback`` outside trees.

    Use it bare, or with any option of ``celery.shared_task``. A ``base`` of your own must derive from
    :class:`CallbackTask`.

    Raises:
        TypeError: ``base`` does not derive from it.
    """
    base = options.setdefault("base", CallbackTask)
    if not (isinstance(base, type) and issubclass(base, CallbackTask)):
        raise TypeError(f"base={base!r} must derive from django_tasktree.CallbackTask")
    return shared_task(*args, **options)


def run_with_callbacks(run: Callable[..., Any]) -> Any:
    """Make the ``run`` method of a plain ``celery.Task`` subclass that of a task that may be a node of a tree.

    The class registers itself with every Celery application, as a shared task does, under its own ``name`` or its
    dotted path.
    """
    return _CitizenRun(run)


class _CitizenRun:
    """Stands for ``run`` in the class body until the class, which it then registers, exists."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __set_name__(self, owner: type, name: str) -> None:
        if name != "run" or not issubclass(owner, Task):
            raise TypeError(
                f"@run_with_callbacks belongs on the run method of a celery.Task, not on {owner.__qualname__}.{name}"
            )
        type.__setattr__(owner, name, self._run)
        _share(_citizen(owner))


def _citizen(owner: type[Any]) -> type[Any]:
    """The class that is registered: the user's own, with the base that knows its node put in."""
    if issubclass(owner, CallbackTask):
        return owner
    members = {"__module__": owner.__module__, "__qualname__": owner.__qualname__, "__doc__": owner.__doc__}
    cls = type(owner.__name__, (owner, CallbackTask), members)
    type.__setattr__(owner, "tasktree_registered", cls)
    return cls


def _share(cls: type[Any]) -> None:
    """Register a task class with the applications that are finalized, and with each other one when it is."""

    def register(app: Celery) -> Any:
        return app.register_task(cls())

    connect_on_app_finalize(register)
    for app in _get_active_apps():
        if app.finalized:
            with app._finalize_mutex:
                register(app)
