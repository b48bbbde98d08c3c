"""The description of one call of a task: its name, arguments and options, checked when it is added to a tree."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Task
from celery.canvas import Signature
from celery.local import Proxy
from django.db.models import TextChoices
from kombu import Exchange, Queue

from django_tasktree.builder.eligibility import find_task
from django_tasktree.builder.message_options import check_values
from django_tasktree.builder.schedule import message_times
from django_tasktree.exceptions import InvalidOption, TaskNotSupported
from django_tasktree.states import OnWorkerLost

#: The largest ``max_active`` that every database can store.
MAX_STORABLE = 2_147_483_647
#: The options of a node that are not options of its message: what happens if its worker is lost, and whether it may run
#: without a message of its own.
OWN_OPTIONS = frozenset({"max_deliveries", "on_worker_lost", "share_message"})
#: The options that a node may have: those above, and options of ``apply_async``.
OPTIONS = OWN_OPTIONS | frozenset(
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
#: The other keyword arguments of ``add_task``, for suggestions in messages.
_RULES = frozenset({"allow_failure", "label", "max_active", "on_failure", "run_when"})


@dataclass
class Call:
    """A task with the arguments and options of one call.

    Attributes:
        name: the task's registered name.
        args: positional arguments.
        kwargs: keyword arguments, without ``callback``.
        options: options of the message and of lost workers, with absolute times.
        callbacks: what ``callback`` held: the signatures that become children of the node.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    callbacks: list[Signature[Any]] = field(default_factory=list)


def call(
    task: Any,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    is_complete: bool = True,
) -> Call:
    """Return the description of a call, checked as far as possible before it runs.

    Example: ``call("shop.tasks.load", [3], {"full": True}, {"queue": "slow"})``.

    Args:
        task: see ``NodeParent.add_task``. The arguments and options of a signature are used.
        args: positional arguments; they follow those of a signature.
        kwargs: keyword arguments; they override those of a signature.
        options: see :data:`OPTIONS`; they override those of a signature.
        is_complete: whether these are all arguments, which must fit the task's signature.

    Raises:
        TaskNotSupported: the task can't be a node, or the signature is a canvas of several tasks.
        UnknownTask: no task of that name is registered.
        InvalidOption: an option does not exist, has an invalid value, or excludes another.
        InvalidText: the text of an option is too long, or has a character that can't be sent.
        TypeError: ``args`` is not a list or tuple, or the arguments do not fit the task's signature.
    """
    if isinstance(args, (str, bytes)) or not (args is None or isinstance(args, Sequence)):
        raise TypeError(f"args must be a list or tuple of positional arguments, not {args!r}")
    if not (kwargs is None or isinstance(kwargs, Mapping)):
        raise TypeError(f"kwargs must be a dict of keyword arguments, not {kwargs!r}")
    if issubclass(type(task), Proxy):
        # What shared_task returns looks the task up whenever an attribute is read: do it once.
        task = task._get_current_object()
    if isinstance(task, Signature) or (isinstance(task, dict) and "task" in task):
        signature = _single(task)
        # A dict may lack them.
        args = (*(signature.args or ()), *(args or ()))
        kwargs = {**(signature.kwargs or {}), **(kwargs or {})}
        options = {**(signature.options or {}), **options}
        task = signature.task
    instance = find_task(task)
    kwargs, callbacks = split_callbacks(kwargs)
    _check_options_are_not_arguments(instance, options)
    result = Call(str(instance.name), tuple(args or ()), kwargs, valid_options(options), callbacks)
    if is_complete:
        _check_arguments(instance, result)
    return result


def split_callbacks(kwargs: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[Signature[Any]]]:
    """Split keyword arguments into the task's own and its callbacks.

    ``callback`` is taken out if it is None, a signature or a list of signatures. Any other ``callback`` stays, because
    it may be an argument of the task itself.

    Returns:
        The task's own keyword arguments (a copy) and the callbacks.
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


def valid_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not None, checked, with absolute times.

    Raises:
        InvalidOption: one does not exist or has an invalid value, or both ``eta`` and ``countdown`` are given.
        InvalidText: a text is too long, or has a character that can't be sent.
    """
    if not options:
        return {}
    for name in options:
        if name not in OPTIONS:
            raise InvalidOption(_unknown_option(name))
    _check_own_options(options)
    if options.get("eta") is not None and options.get("countdown") is not None:
        raise InvalidOption("a node takes eta= or countdown=, not both")
    # Celery also accepts kombu's Queue and Exchange objects.
    given = {name: value.name if isinstance(value, (Queue, Exchange)) else value for name, value in options.items()}
    check_values(given)
    return message_times({name: value for name, value in given.items() if value is not None})


def check_choice(name: str, value: str, choices: type[TextChoices]) -> None:
    """Check that an option has one of its allowed values.

    Raises:
        InvalidOption: it has not; the message lists the values.
    """
    if value not in choices.values:
        raise InvalidOption(f"{name}={value!r} is not valid: it must be one of {', '.join(map(repr, choices.values))}")


def check_limit(max_active: int | None) -> None:
    """Check a limit on active nodes; None means no limit.

    Raises:
        InvalidOption: it is not a whole number of at least 1, or is larger than :data:`MAX_STORABLE`.
    """
    if max_active is not None and (not isinstance(max_active, int) or max_active < 1):
        raise InvalidOption(
            f"max_active={max_active!r} is not valid: give a whole number of at least 1, or None for no limit"
        )
    if max_active is not None and max_active > MAX_STORABLE:
        raise InvalidOption(
            f"max_active={max_active!r} is too large: at most {MAX_STORABLE:,} can be stored; give None for no limit"
        )


def _single(task: Any) -> Signature[Any]:
    signature = task if isinstance(task, Signature) else Signature.from_dict(task)
    if signature.subtask_type:
        raise TaskNotSupported(
            f"{signature!r} is a canvas of several tasks ({signature.subtask_type}): convert it with "
            "TaskTree.from_canvas(…), or add its tasks one by one"
        )
    return signature


def _check_options_are_not_arguments(task: Task[..., Any], options: Mapping[str, Any]) -> None:
    """Raise InvalidOption if an option does not exist, but the task has a parameter of this name."""
    header = getattr(task, "__header__", None)
    for name in options:
        if name not in OPTIONS and header is not None and name in inspect.signature(header).parameters:
            raise InvalidOption(
                f"a node has no option {name!r}, but task {task.name!r} has a parameter of this name: pass arguments "
                f"of the task in args= or kwargs=, here kwargs={{{name!r}: …}}"
            )


def _check_own_options(options: Mapping[str, Any]) -> None:
    if options.get("on_worker_lost") is not None:
        check_choice("on_worker_lost", options["on_worker_lost"], OnWorkerLost)
    max_deliveries = options.get("max_deliveries")
    if max_deliveries is not None and (not isinstance(max_deliveries, int) or max_deliveries < 1):
        raise InvalidOption(
            f"max_deliveries={max_deliveries!r} must be a whole number of at least 1, or None for the default"
        )
    share_message = options.get("share_message")
    if share_message not in (None, True, False):
        raise InvalidOption(f"share_message={share_message!r} must be True or False, or None for the default")


def _unknown_option(name: str) -> str:
    if name in ("link", "link_error"):
        return f"a node has no option {name!r}: add the task as a child of the node, with node.add_task(…, run_when=…)"
    known = sorted(OPTIONS | _RULES)
    closest = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {closest[0]!r}?" if closest else "."
    return f"a node has no option {name!r}{hint} The options are {', '.join(known)}."


def _check_arguments(task: Task[..., Any], described: Call) -> None:
    """Raise TypeError if the arguments do not fit the task's signature, like Celery's own argument check."""
    header = getattr(task, "__header__", None)
    if task.typing and header is not None:
        try:
            header(*described.args, **described.kwargs)
        except TypeError as exc:
            raise TypeError(f"task {task.name!r}: {exc}") from None
