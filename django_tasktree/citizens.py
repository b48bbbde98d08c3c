"""Which Celery tasks may take part in a tree, and how a call of one is described."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Task, current_app
from celery.canvas import Signature
from django.db.models import TextChoices
from django.utils.module_loading import autodiscover_modules
from kombu import Exchange, Queue

from django_tasktree.exceptions import InvalidOption, NotACitizen, UnknownTask
from django_tasktree.message_options import check_values
from django_tasktree.schedule import message_times
from django_tasktree.states import OnWorkerLost

#: The largest limit that the column of every database can hold.
MOST_ACTIVE = 2_147_483_647
#: What these do needs permissions that depend on their arguments: nobody composes them by hand.
STEERING_TASKS = frozenset({"django_tasktree.steer", "django_tasktree.sum_up"})
#: Options of a node that are no message's: what becomes of it when its worker is lost.
LOSS_OPTIONS = frozenset({"max_deliveries", "on_worker_lost"})
#: The options that a node may carry: those, and options of ``apply_async``.
OPTIONS = LOSS_OPTIONS | frozenset(
    {
        "compression",
        "countdown",
        "eta",
        "exchange",
        "expires",
        "ignore_result",
        "priority",
        "queue",
        "routing_key",
        "serializer",
        "shadow",
        "soft_time_limit",
        "time_limit",
    }
)
#: What else ``add_task`` takes by name.
_RULES = frozenset({"allow_failure", "max_active", "on_failure", "run_when"})


@dataclass
class Call:
    """A task with the arguments and options of one call."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    callbacks: list[Signature[Any]] = field(default_factory=list)


def call(task: Any, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Call:
    """Describe a call of a task, checked as far as it can be before it runs.

    Args and errors: see ``NodeParent.add_task``.
    """
    if isinstance(args, (str, bytes)) or not (args is None or isinstance(args, Sequence)):
        raise TypeError(f"args must be a list or tuple of positional arguments, not {args!r}")
    if isinstance(task, (Signature, dict)):
        signature = _single(task)
        args = (*signature.args, *(args or ()))
        kwargs = {**signature.kwargs, **(kwargs or {})}
        options = {**signature.options, **options}
        task = signature.task
    instance = find_task(task)
    kwargs, callbacks = split_callbacks(kwargs)
    result = Call(str(instance.name), tuple(args or ()), kwargs, valid_options(options), callbacks)
    _check_arguments(instance, result)
    return result


def find_task(task: Any) -> Task[..., Any]:
    """Find the registered instance of a task that may take part in a tree.

    Raises:
        UnknownTask: nothing of that name is registered.
        NotACitizen: it does not derive from ``CallbackTask``.
    """
    if isinstance(task, str):
        instance = registered_task(task)
    elif isinstance(task, type) and issubclass(task, Task):
        instance = _instance_of(task)
    elif isinstance(task, Task):
        instance = task
    elif hasattr(task, "add_task"):
        raise NotACitizen(f"{task!r} is a part of a tree, and not a task: add the tasks that it has one by one")
    elif hasattr(task, "launch"):
        raise NotACitizen(f"{task!r} is a definition of a tree, and not a task: call it, and launch the tree")
    else:
        raise NotACitizen(
            f"{task!r} is not a Celery task: decorate the function with @django_tasktree.task_with_callbacks"
        )
    if not is_citizen(instance):
        raise NotACitizen.of(str(instance.name))
    return instance


def is_citizen(task: Task[..., Any]) -> bool:
    """Tell whether a task may take part in a tree."""
    return bool(getattr(task, "is_tasktree_citizen", False))


def citizen_tasks() -> list[Task[..., Any]]:
    """List the project's tasks that may take part in a tree, by name; not those of this package."""
    autodiscover_modules("tasks")
    tasks: Any = current_app.tasks
    found = (task for _name, task in sorted(tasks.items()) if is_citizen(task))
    return [task for task in found if not str(task.name).startswith("django_tasktree.")]


def split_callbacks(kwargs: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[Signature[Any]]]:
    """Take ``callback`` out of keyword arguments, where it holds a signature or a list of them.

    Returns:
        The other keyword arguments (a copy) and the callbacks. A ``callback`` that is anything else stays: it may be
        an argument of the task's own.
    """
    rest = dict(kwargs or {})
    given = rest.get("callback", ...)
    if given is ...:
        return rest, []
    callbacks = list(given) if isinstance(given, (list, tuple)) else [given]
    if given is not None and not all(isinstance(item, Signature) for item in callbacks):
        return rest, []
    del rest["callback"]
    return rest, [] if given is None else callbacks


def check_choice(name: str, value: str, choices: type[TextChoices]) -> None:
    """Make sure that an option has one of its values, or say which ones there are."""
    if value not in choices.values:
        raise InvalidOption(f"{name}={value!r} does not exist: it is one of {', '.join(map(repr, choices.values))}")


def check_limit(max_active: int | None) -> None:
    """Make sure that a limit lets something run at all."""
    if max_active is not None and (not isinstance(max_active, int) or max_active < 1):
        raise InvalidOption(f"max_active={max_active!r} lets nothing run: it is a whole number from 1, or None")
    if max_active is not None and max_active > MOST_ACTIVE:
        raise InvalidOption(f"max_active={max_active!r} limits nothing: at most {MOST_ACTIVE:,} can be stored; or None")


def valid_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options of a message; returns those that are set, their times as instants.

    Raises:
        InvalidOption: one does not exist or has a wrong value, or ``eta`` and ``countdown`` are both given.
        InvalidText: a text is too long, or holds a character that can't be sent.
    """
    for name in options:
        if name not in OPTIONS:
            raise InvalidOption(_unknown_option(name))
    _check_loss_options(options)
    if options.get("eta") is not None and options.get("countdown") is not None:
        raise InvalidOption("a node takes eta= or countdown=, not both")
    # Celery also takes objects of kombu's.
    given = {name: value.name if isinstance(value, (Queue, Exchange)) else value for name, value in options.items()}
    check_values(given)
    return message_times({name: value for name, value in given.items() if value is not None})


def _check_loss_options(options: Mapping[str, Any]) -> None:
    if options.get("on_worker_lost") is not None:
        check_choice("on_worker_lost", options["on_worker_lost"], OnWorkerLost)
    most = options.get("max_deliveries")
    if most is not None and (not isinstance(most, int) or most < 1):
        raise InvalidOption(f"max_deliveries={most!r} lets the node never run: it is a whole number from 1, or None")


def _unknown_option(name: str) -> str:
    if name in ("link", "link_error"):
        return f"a node takes no {name}: add the task to the node instead, with add_task(…, run_when=…)"
    known = sorted(OPTIONS | _RULES)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"a node takes no option {name!r}{hint} It takes {', '.join(known)}."


def _single(task: Any) -> Signature[Any]:
    signature = task if isinstance(task, Signature) else Signature.from_dict(task)
    if signature.subtask_type:
        raise NotACitizen(
            f"{signature!r} is a canvas of several tasks ({signature.subtask_type}): TaskTree.from_canvas(…) makes a "
            "tree of it; or add each of its tasks"
        )
    return signature


def registered_task(name: str) -> Task[..., Any]:
    """Find a task by its name, also where nobody has imported its module yet.

    Raises:
        UnknownTask: nothing of that name is registered.
    """
    tasks: Any = current_app.tasks
    if name not in tasks:
        # In a process that is no worker, modules named tasks.py may not have been imported yet. (Celery's own way to
        # import them runs Django's system checks, which may ask the database.)
        autodiscover_modules("tasks")
    if name not in tasks:
        raise UnknownTask.of(name, difflib.get_close_matches(name, list(tasks), n=1))
    task: Task[..., Any] = tasks[name]
    return task


def _instance_of(cls: type[Task[..., Any]]) -> Task[..., Any]:
    cls = cls.__dict__.get("tasktree_registered", cls)
    name = cls.name if isinstance(cls.name, str) else current_app.gen_task_name(cls.__name__, cls.__module__)
    instance = registered_task(name)
    if not isinstance(instance, cls):
        raise UnknownTask(f"the task registered as {name!r} is no instance of {cls!r}: register it with another name")
    return instance


def _check_arguments(task: Task[..., Any], described: Call) -> None:
    header = getattr(task, "__header__", None)
    if task.typing and header is not None:
        try:
            header(*described.args, **described.kwargs)
        except TypeError as exc:
            raise TypeError(f"task {task.name!r}: {exc}") from None
