"""Divide an operation into transactions: one if it is small, one for each batch if it is large."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import transaction

from django_tasktree.conf import settings
from django_tasktree.control.changes import carry_out
from django_tasktree.engine.control.change import Change, begin, may_commit
from django_tasktree.engine.control.reset import lock_run
from django_tasktree.engine.database_retries import retry_deadlocks
from django_tasktree.engine.history import record
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.traversal import is_larger
from django_tasktree.engine.types import Effect
from django_tasktree.models import TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import RUN_GOING

_Given = ParamSpec("_Given")
#: ``Effect``; or ``Effect | None`` if the operation may find that there is nothing to do.
_Found = TypeVar("_Found", Effect, Effect | None)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for an action, as the history records it.

    Attributes:
        action: the action.
        run_id: the run.
        node_id: the node, if the action affects a node with its subtree; None for the run as a whole.
        by: the user, or a text that names the program or person.
        note: additional information.
    """

    action: Action
    run_id: UUID
    node_id: UUID | None = None
    by: Any = None
    note: str = ""


def carried_out(operation: Callable[_Given, Effect | Change]) -> Callable[_Given, Effect]:
    """Decorate an operation that uses :func:`divide`: carry out the change once its transaction has committed."""
    begun = retry_deadlocks(operation)

    @wraps(operation)
    def act(*args: _Given.args, **kwargs: _Given.kwargs) -> Effect:
        found = begun(*args, **kwargs)
        return carry_out(found) if isinstance(found, Change) else found

    return act


def divide(
    request: Request,
    *,
    is_large: Callable[[], bool],
    lock: Callable[[], TreeRun | None],
    at_once: Callable[[], _Found],
) -> _Found | Change:
    """Begin a change in batches if the operation is large; otherwise carry it out in one transaction.

    An operation inside a transaction of the caller is never divided.

    Args:
        request: the request.
        is_large: returns whether the operation changes more nodes than one transaction should lock.
        lock: locks the run before a change in batches; raises ``NotPossible`` if the action is not possible. If it
            returns None, the operation is not divided.
        at_once: locks the run and carries out the operation. If it returns None, nothing was done.

    Returns:
        The change that was begun, or the effect.
    """
    may_be_divided = may_commit() and is_large()
    with transaction.atomic(using=write_alias()):
        run = lock() if may_be_divided else None
        if run is not None:
            return begin(run, request.action, request.by, request.node_id, request.note)
        effect = at_once()
        if effect is not None:
            record(
                request.run_id,
                request.action,
                request.by,
                node_id=request.node_id,
                nodes=effect.moved,
                note=request.note,
            )
        return effect


def divide_subtree(request: Request, top: UUID, at_once: Callable[[], Effect]) -> Effect | Change:
    """Do the same as :func:`divide` for an operation on a node with its subtree.

    In a run that has ended, the operation is not divided, because the run does not become CHANGING for it.

    Args:
        request: the request.
        top: the node.
        at_once: carries out the operation; the run is locked.
    """

    def lock() -> TreeRun | None:
        run = lock_run(request.run_id)
        return run if run.state in RUN_GOING else None

    def locked_at_once() -> Effect:
        lock_run(request.run_id)
        return at_once()

    return divide(
        request,
        is_large=lambda: is_larger(request.run_id, [top], settings.batch_size),
        lock=lock,
        at_once=locked_at_once,
    )
