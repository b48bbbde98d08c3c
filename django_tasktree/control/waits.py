"""Send events to runs, and end the waits whose time has passed."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from django_tasktree.builder.waits import event_name
from django_tasktree.dispatch.wait_ends import end_wait_if_due_now, end_waits_by_event_now
from django_tasktree.dispatch.waits import clean_payload
from django_tasktree.encoding import serialization
from django_tasktree.encoding.text import LONG_NAME_LENGTH, storable, text_of
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.control.refusals import HAS_ENDED
from django_tasktree.engine.control.reset import check_run
from django_tasktree.engine.control.waits import first_unfinished, open_waits
from django_tasktree.engine.database_retries import retry_deadlocks
from django_tasktree.engine.history import record, user_of
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import RunEvent
from django_tasktree.models.history_entry import Action
from django_tasktree.states import RUN_FINAL


@retry_deadlocks
def send_event(run_id: UUID, name: str, payload: Any = None, by: Any = None) -> UUID:
    """Store an event. When the transaction commits, it ends the first node that waits for it.

    Args:
        run_id: the run.
        name: the name of the event.
        payload: the result of the node that the event ends.
        by: the user, or a text that names the program or person.

    Returns:
        The ID of the event.

    Raises:
        RunNotFound: there is no such run.
        NotPossible: the run has ended.
        InvalidOption: the name is not a text, is empty, or contains a slash.
        InvalidParameter: the payload does not fit the first node that waits for the event, or will wait for it.
        SerializationError: the payload, or the output that is made of it, can't be stored, or is larger than
            ``MAX_RESULT_SIZE``.
    """
    name = event_name(name)
    text = serialization.write(payload, "max_result_size")
    # Read before the transaction: on SQLite, a transaction that has read may not get the write lock. An event that is
    # stored just after the end of the run is not taken.
    run = check_run(run_id, drafts=True, changing=True)
    if run.state in RUN_FINAL:
        raise NotPossible(HAS_ENDED, run=run_id, state=run.state)
    spec = awaited(run_id, name)
    if spec is not None:
        # The output is made again when the event ends the node.
        serialization.write(clean_payload(spec, payload), "max_result_size")
    with transaction.atomic(using=write_alias()):
        event: Any = RunEvent.objects.using(write_alias()).create(
            run_id=run_id,
            name=name,
            payload=text,
            user_id=getattr(user_of(by), "pk", None),
            actor="" if by is None else storable(text_of(by), LONG_NAME_LENGTH),
        )
        record(run_id, Action.EVENT, by, note=name)
        # Not in this transaction: a node that is just beginning to wait sees the event only after the commit.
        transaction.on_commit(partial(end_waits_by_event_now, run_id, name), using=write_alias())
    key: UUID = event.pk
    return key


def awaited(run_id: UUID, name: str) -> WaitSpec | None:
    """Return what the first node waits for that takes an event, now or when it is reached; None if there is none yet.

    Args:
        run_id: the run.
        name: the name of the event.

    Raises:
        InvalidOption, InvalidText: see :func:`send_event`.
    """
    return first_unfinished(run_id, event_name(name))


def end_wait(node_id: UUID, task_id: UUID) -> bool:
    """End a wait whose time has passed.

    Args:
        node_id: the node.
        task_id: the task ID of the wait; a wait that begins again has another one.

    Returns:
        False if there is no such wait any more, its time has not passed, or the run is CHANGING.
    """
    return any(end_wait_if_due_now(wait) for wait in open_waits([node_id]) if wait.node.task_id == task_id)
