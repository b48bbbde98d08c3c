"""What a node that has begun to wait needs: the time at which it ends, a timer, its event, and the signal about it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.db import InterfaceError, OperationalError
from django.utils.module_loading import import_string

from django_tasktree.dispatch import eager
from django_tasktree.dispatch.publisher import unreachable
from django_tasktree.encoding import serialization, times
from django_tasktree.encoding.errors import describe
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.control.waits import OpenWait, events_to_take, refuse_event
from django_tasktree.engine.types import Dispatch, Outcome
from django_tasktree.exceptions import InvalidParameter, SerializationError, WaitExpired
from django_tasktree.models import RunEvent
from django_tasktree.states import NodeState, OnTimeout

logger = logging.getLogger(__name__)

#: A wait that ends later than this has no timer message: the sweep ends it, and no worker keeps a message for it.
_TIMED = timedelta(minutes=10)
#: Validates a payload. The types of parameters are those of definitions, a layer above this one.
_CLEAN = "django_tasktree.definitions.payloads.clean_payload"


def without_waits(dispatches: Iterable[Dispatch], waits: list[Dispatch]) -> Iterator[Dispatch]:
    """Yield the nodes that have a task, and append the others to a list.

    Args:
        dispatches: nodes that were queued, and wait nodes that have begun to wait.
        waits: the list.
    """
    for dispatch in dispatches:
        if dispatch.wait is None:
            yield dispatch
        else:
            waits.append(dispatch)


def schedule_end(wait: OpenWait) -> Outcome | None:
    """Send a timer message for the end of a wait, if that is soon.

    Returns:
        The outcome of the wait if its time has passed already. In eager mode nothing waits: a sleep ends at once, and
        no other wait ends by its time.
    """
    due = wait.due or wait.spec.due(wait.since)
    if eager.is_on(current_app):
        return None if wait.spec.event else timed_out(wait)
    if due is None:
        return None
    left = times.elapsed(times.now(), due)
    if left <= timedelta():
        return timed_out(wait)
    if left <= _TIMED:
        _send_timer(wait, due)
    return None


def _send_timer(wait: OpenWait, due: datetime) -> None:
    app: Any = current_app
    ids = [str(wait.node.id), str(wait.node.task_id)]
    try:
        app.send_task("django_tasktree.end_wait", ids, eta=times.instant(due), ignore_result=True)
    except unreachable(app) as exc:
        logger.warning("the broker can't be reached (%r): the sweep will end node %s", exc, wait.node)


def timed_out(wait: OpenWait) -> Outcome:
    """Return the outcome of a wait whose time has passed."""
    spec = wait.spec
    if spec.on_timeout == OnTimeout.SKIP:
        return Outcome(NodeState.SKIPPED)
    error: Exception = WaitExpired(f"no event {spec.event!r} came within {timedelta(seconds=spec.timeout or 0)}")
    if spec.on_timeout == OnTimeout.SUCCESS:
        try:
            return Outcome(NodeState.SUCCESS, result=serialization.write(spec.default, "max_result_size"))
        except SerializationError as exc:
            # MAX_RESULT_SIZE has been decreased.
            error = exc
    return Outcome(NodeState.FAILURE, error=describe(error))


def clean_payload(spec: WaitSpec, payload: Any) -> Any:
    """Return the output of a wait node for a payload.

    Raises:
        InvalidParameter: the payload does not fit.
    """
    clean: Callable[[WaitSpec, Any], Any] = import_string(_CLEAN)
    return clean(spec, payload)


def outcome_by_event(wait: OpenWait) -> tuple[RunEvent, Outcome] | None:
    """Return the first event that may end a wait, with the outcome; None if there is none.

    An event whose payload does not fit is marked as refused, and this is logged.
    """
    while (event := events_to_take(wait.node.run_id, wait.spec.event).first()) is not None:
        outcome = _outcome_of(wait, event)
        if outcome is not None:
            return event, outcome
    return None


def _outcome_of(wait: OpenWait, event: RunEvent) -> Outcome | None:
    """Return the outcome of a wait that an event ends; None if the event is refused."""
    try:
        payload = clean_payload(wait.spec, serialization.read(event.payload))
        result = serialization.write(payload, "max_result_size")
    except (InvalidParameter, SerializationError) as exc:
        logger.warning("event %s of run %s does not end node %s: %s", event.pk, event.run_id, wait.node, exc)
        refuse_event(event, str(exc) or repr(exc))
        return None
    except (OperationalError, InterfaceError):
        raise
    except Exception as exc:
        # The form is code of the project, and may raise anything.
        logger.exception("the payload of event %s of run %s could not be validated", event.pk, event.run_id)
        refuse_event(event, repr(exc))
        return None
    return Outcome(NodeState.SUCCESS, result=result)
