"""One attempt at a node, from its claim to its outcome."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

import billiard.common
from celery.exceptions import Ignore, Reject, Retry, WorkerShutdown, WorkerTerminate
from django.db import DatabaseError, InterfaceError, connections, transaction

from django_tasktree.builder.atomicity import atomic_alias
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.dispatch import eager, shared_messages
from django_tasktree.dispatch.after_commit import finish_and_propagate, process_deferred, publish_after_commit
from django_tasktree.dispatch.open_transactions import discard_connections, guard, none_left_open, roll_back_leftovers
from django_tasktree.dispatch.publisher import send_retry
from django_tasktree.dispatch.sub_runs import wait_for_run_of
from django_tasktree.encoding import serialization, times
from django_tasktree.encoding.errors import Presentable, describe, presentable
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.encoding.stand_ins import are_in, plain
from django_tasktree.encoding.text import text_of
from django_tasktree.engine.database_retries import is_transient, may_go_away, retry_transient
from django_tasktree.engine.lifecycle import attempts
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.engine.scopes import place_below
from django_tasktree.engine.types import NodeRef, NodeSpec, Outcome
from django_tasktree.exceptions import InvalidOption, StaleAttempt, StopPropagation
from django_tasktree.states import NodeState
from django_tasktree.worker.batch import batch_of
from django_tasktree.worker.chunk_calls import arguments_of
from django_tasktree.worker.context import RunningNode
from django_tasktree.worker.identity import worker_of
from django_tasktree.worker.lost_attempts import requeue_or_fail
from django_tasktree.worker.replacement import Replaced, check_replaceable
from django_tasktree.worker.taking import ClaimRefused
from django_tasktree.worker.task_result import success_row

logger = logging.getLogger(__name__)

#: The exceptions of a database that does not accept an outcome. Those that a retry can't solve are about the row's
#: values, which the database would refuse again.
_REFUSED = (DatabaseError, ValueError)


def run_attempt(
    task: Any, ref: NodeRef, args: Sequence[Any], kwargs: Mapping[str, Any], call: Callable[..., Any]
) -> Any:
    """Claim the node, run the task function and store its outcome.

    Args:
        task: the task instance, with the message's request.
        ref: the attempt that the message names.
        args: the positional arguments of the message, with references and stand-ins.
        kwargs: the keyword arguments of the message, with references and stand-ins.
        call: calls the task function, through the class's own ``__call__`` if there is one.

    Returns:
        The return value of the task function, for Celery's result backend.

    Raises:
        Ignore: if the message is a duplicate or out of date, the task function raised Ignore, or it started a run whose
            result becomes that of the node.
        Exception: the exception of the task function, in a form that Celery can handle; the node's row has it already.
    """
    if not task.request.is_eager:
        roll_back_leftovers(task.name, task.request.id, "before")
    if batch_of(ref) is None:
        _claim(task, ref)
    try:
        return _value_of(_attempt(task, ref, partial(_run_task_function, task, args, kwargs, call)))
    except KeyboardInterrupt as exc:
        # A user interrupts this process, in which nodes run eagerly: no worker would ever run this node again.
        with suppress(Ignore):
            _fail(ref, exc)
        raise
    except Exception as exc:  # noqa: BLE001  raised below
        shown = _for_celery(exc)
    try:
        # Raise it outside the handler: else the replaced exception would be its context, and appear in every traceback.
        raise shown
    finally:
        # Break the reference cycle: the traceback refers to this frame.
        del shown


def _value_of(returned: Any) -> Any:
    """Return the value of an attempt.

    Raises:
        Ignore: the attempt has started a run, so that Celery stores no result. Pools of processes pickle the exception,
            which must not contain the tree.
    """
    if isinstance(returned, Replaced):
        raise Ignore(str(returned))
    return returned


def _attempt(task: Any, ref: NodeRef, run_task_function: Callable[[RunningNode], tuple[Any, Outcome]]) -> Any:
    node = RunningNode(ref)
    committed: list[bool] = []
    try:
        alias = atomic_alias(task)
        if alias is not None:
            return _run_in_transaction(task, node, run_task_function, alias, committed)
        value, outcome = run_task_function(node)
    except Retry as exc:
        _retry_later(task, node, exc)
        raise
    except StaleAttempt as exc:
        logger.warning("%s: the writes of its task function are rolled back", exc)
        raise Ignore(str(exc)) from exc
    except Reject as exc:
        raise _reject(ref, exc) from exc
    except Ignore as exc:
        _conclude(ref, Outcome(NodeState.SKIPPED, error=_ignored(exc)))
        raise
    except Exception as exc:
        if _must_start_over(task, node, exc, committed):
            raise _start_over(task, ref, exc) from exc
        if not committed:
            _fail(ref, exc)
        raise
    if isinstance(value, Replaced):
        _wait_or_fail(ref, value)
        return value
    # The task of a map node has inserted children by now.
    _succeed_or_fail(task, node.ref, outcome, value)
    return value


def _succeed_or_fail(task: Any, ref: NodeRef, outcome: Outcome, value: Any) -> None:
    """Store a success; if the database will never accept it, fail the node, because another attempt would fail too."""
    try:
        _succeed(task, ref, outcome, value)
    except _REFUSED as exc:
        if may_go_away(exc):
            raise
        with suppress(Ignore):
            # Ignore: the outcome was stored, and the error occurred after that.
            _fail(ref, exc)
        raise


def _wait_or_fail(ref: NodeRef, replaced: Replaced) -> None:
    """Start the run for which the node waits; if that is not possible, fail the node."""
    try:
        wait_for_run_of(ref, replaced.tree)
    except StaleAttempt as exc:
        logger.warning("%s: it starts no run", exc)
        raise Ignore(str(exc)) from exc
    except Exception as exc:
        if may_go_away(exc):
            raise
        with suppress(Ignore):
            _fail(ref, exc)
        raise


def _must_start_over(task: Any, node: RunningNode, exc: Exception, committed: list[bool]) -> bool:
    """Return whether an error is a transient one of the database, in a transaction that can be repeated."""
    if committed or not task.atomic:
        return False
    return may_go_away(exc) if node.has_returned else is_transient(exc)


def _ends_process(exc: BaseException, *, is_eager: bool) -> bool:
    """Return whether the worker or a signal ends this process: then the attempt is lost and has not failed."""
    if isinstance(exc, (WorkerShutdown, WorkerTerminate)):
        return True
    if isinstance(exc, KeyboardInterrupt):
        # Pool processes ignore SIGINT, and a worker's main process handles it: there the task function itself raised
        # the exception.
        return is_eager
    # In a pool process, the handler of SIGTERM raises SystemExit at any point of the task function.
    return isinstance(exc, SystemExit) and bool(billiard.common._should_have_exited[0])  # type: ignore[attr-defined]


def _fail(ref: NodeRef, exc: BaseException) -> None:
    """Fail the node; if the database's encoding lacks a character of the error, store the error in ASCII."""
    error = describe(exc)
    try:
        _conclude(ref, Outcome(NodeState.FAILURE, error=error))
    except _REFUSED as refusal:
        if may_go_away(refusal):
            raise
        logger.exception("node %s: the database refuses its error, which is stored in ASCII instead", ref)
        _conclude(ref, Outcome(NodeState.FAILURE, error=error.in_ascii()))


def _for_celery(exc: Exception) -> Exception:
    """Return the task function's exception, or one that Celery, its result backends and its logs can handle instead."""
    shown = presentable(exc)
    if isinstance(shown, Presentable):
        shown.__context__ = None
    if shown is exc:
        return shown
    original: Any = exc
    message: Any = text_of(shown)
    if isinstance(exc, Retry):
        return Retry(message, original.exc, original.when, is_eager=original.is_eager, sig=original.sig)
    if isinstance(exc, Reject):
        return Reject(message, requeue=False)
    return Ignore(message) if isinstance(exc, Ignore) else shown


def _claim(task: Any, ref: NodeRef) -> None:
    """Claim the node.

    Raises:
        Ignore: if the message is a duplicate or out of date, or if the database fails. In the latter case the node
            stays QUEUED, and the sweep sends its message again.
        Reject: if the database fails and the broker still has the message (``acks_late``), which delivers it again.
    """
    try:
        _claim_or_defer(task, ref)
    except (DatabaseError, InterfaceError) as exc:
        if task.request.is_eager:
            raise
        logger.exception("task %s[%s] could not claim node %s, which stays queued", task.name, ref.task_id, ref)
        discard_connections()
        text = f"node {ref} could not be claimed: {text_of(exc)}"
        raise (Reject(text, requeue=True) if task.acks_late else Ignore(text)) from exc


def _claim_or_defer(task: Any, ref: NodeRef) -> None:
    while not claim(ref, task.request.hostname or "", worker_of(task.request)):
        deferred = retry_transient(lambda: defer_claim(ref))
        if not deferred.again:
            # A node of a lane has often been taken already when its message comes.
            logger.log(
                logging.DEBUG if ref.lane else logging.INFO,
                "task %s[%s]: ignored a message of node %s that is a duplicate, out of date or too early",
                task.name,
                ref.task_id,
                ref.id,
            )
            process_deferred(ref, deferred)
            raise ClaimRefused


def _start_over(task: Any, ref: NodeRef, exc: Exception) -> Ignore:
    """Requeue or fail an atomic node whose transaction failed because of a deadlock or a lost connection."""
    try:
        is_requeued = retry_transient(lambda: requeue_or_fail(ref, task, describe(exc)))
    except StaleAttempt as stale:
        logger.warning("%s", stale)
    else:
        action = "queued again" if is_requeued else "failed"
        logger.warning("node %s was %s, because its transaction failed (%s)", ref, action, exc)
    return Ignore(str(exc))


def _run_in_transaction(
    task: Any,
    node: RunningNode,
    run_task_function: Callable[[RunningNode], tuple[Any, Outcome]],
    alias: str,
    committed: list[bool],
) -> Any:
    """Run the task function and store its outcome in one transaction; any exception rolls back both.

    Args:
        task: see :func:`run_attempt`.
        node: the node.
        run_task_function: runs the task function and returns its value and its outcome.
        alias: the database.
        committed: gets an entry when both are committed; an error after that is not a failure of the node.
    """
    roll_back_leftovers_of_callbacks = guard(f"what task {task.name} registered with on_commit")
    with transaction.atomic(using=alias):
        transaction.on_commit(lambda: committed.append(True), using=alias)
        with _errors_logged_on_commit(alias):
            value, outcome = run_task_function(node)
        transaction.on_commit(roll_back_leftovers_of_callbacks, using=alias)
        if isinstance(value, Replaced):
            wait_for_run_of(node.ref, value.tree)
            return value
        _succeed(task, node.ref, outcome, value, alias)
    return value


@contextmanager
def _errors_logged_on_commit(alias: str) -> Iterator[None]:
    """Register the block's ``on_commit`` callbacks as robust: their exceptions are logged.

    An exception could not undo the commit, and would keep Django from calling the callbacks after it.

    Args:
        alias: the database.
    """
    before = len(connections[alias].run_on_commit)
    yield
    entries: list[Any] = connections[alias].run_on_commit
    entries[before:] = [(savepoint_ids, callback, True) for savepoint_ids, callback, _ in entries[before:]]


def _run_task_function(
    task: Any, args: Any, kwargs: Any, call: Callable[..., Any], node: RunningNode
) -> tuple[Any, Outcome]:
    args, kwargs = arguments_of(task, node.ref, args, kwargs)
    skip_children = False
    # The transaction of an atomic task does what eager.task_function() would do.
    with node, eager.task_function() if task.request.is_eager and not task.atomic else nullcontext():
        try:
            with none_left_open(task.name), shared_messages.task_function():
                task.before_start(task.request.id, args, kwargs)
                value = call(*args, **kwargs)
        except Replaced as exc:
            check_replaceable(node)
            node.has_returned = True
            # The outcome is not used: that of the run becomes the node's.
            return exc, Outcome(NodeState.WAITING)
        except StopPropagation as exc:
            value, skip_children = exc.result, True
        except Retry as exc:
            if node.retry_signature is None:
                raise TypeError(f"task {task.name!r} raised Retry itself: call self.retry() instead") from exc
            raise
        except BaseException as exc:
            if isinstance(exc, Exception) or _ends_process(exc, is_eager=task.request.is_eager):
                raise
            # A BaseException such as SystemExit or asyncio.CancelledError would end the process, here and in Celery.
            raise presentable(exc) from None
    node.has_returned = True
    if node.retry_signature is not None:
        # The task function called retry(throw=False) and returned: it requested another attempt.
        raise Retry(sig=node.retry_signature)
    prefer = "pickle" if task.app.conf.result_serializer == "pickle" else "json"
    result = serialization.write(value, "max_result_size", prefer=prefer)
    celery_value = plain(value) if prefer != "pickle" and are_in(result) else value
    return celery_value, Outcome(NodeState.SUCCESS, result=result, skip_children=skip_children, added=_added(node))


def _added(node: RunningNode) -> tuple[NodeSpec, ...]:
    if not node.children:
        return ()
    return tuple(plan_nodes(node, place_below(node.ref, node.ref.child_count)))


def _succeed(task: Any, ref: NodeRef, outcome: Outcome, value: Any, alias: str | None = None) -> None:
    # In a transaction, StaleAttempt must propagate as an error, which rolls back the task function's writes.
    write = _conclude if alias is None else finish_and_propagate
    row = success_row(task, value)
    batch = batch_of(ref)
    if alias is None and batch is not None and batch.keep(ref, replace(outcome, companion=row)):
        if row is not None:
            task.request.ignore_result = True
        return
    if row is None:
        write(ref, outcome)
        return
    try:
        with nullcontext() if alias is None else transaction.atomic(using=alias):
            write(ref, replace(outcome, companion=row))
    except InvalidOption:
        # Of a node that the task has added.
        raise
    except _REFUSED as exc:
        if may_go_away(exc):
            raise
        logger.exception("node %s: its TaskResult can't be stored with the outcome, and is left to Celery", ref)
        write(ref, outcome)
        return
    # Keep Celery from storing the result a second time.
    task.request.ignore_result = True


def _conclude(ref: NodeRef, outcome: Outcome) -> None:
    try:
        finish_and_propagate(ref, outcome)
    except StaleAttempt as exc:
        logger.warning("%s: its outcome (%s) is discarded", exc, outcome.state)
        raise Ignore(str(exc)) from exc


def _retry_later(task: Any, node: RunningNode, exc: Any) -> None:
    """Commit the transition to RETRY, then send the message that ``retry()`` created."""
    signature = node.retry_signature
    reason = node.retry_error or NodeError("celery.exceptions.Retry", text_of(exc))
    try:
        task_id = attempts.retry(node.ref, reason, _eta(signature.options), node.retry_arguments)
    except StaleAttempt as stale:
        raise Ignore(str(stale)) from exc
    signature.set(task_id=str(task_id))
    # Without this, Celery would run an eager retry within this call, and many retries would exhaust the stack.
    exc.sig = None
    send_retry(node, signature, is_eager=task.request.is_eager)


def _eta(options: Mapping[str, Any]) -> datetime | None:
    if options.get("eta"):
        return times.as_stored(options["eta"])
    countdown = options.get("countdown")
    return times.after(times.now(), countdown) if countdown else None


def _reject(ref: NodeRef, exc: Any) -> Exception:
    """Fail the node or queue it again; the new task ID makes the broker's own redelivery out of date."""
    reason = "no reason given" if exc.reason is None else text_of(exc.reason)
    error = NodeError("celery.exceptions.Reject", f"the task function rejected its message: {reason}")
    if not exc.requeue:
        _conclude(ref, Outcome(NodeState.FAILURE, error=error))
        return cast("Exception", exc)
    try:
        publish_after_commit(ref.run_id, [attempts.requeue(ref, attempts.REJECTED, error)])
    except StaleAttempt as stale:
        logger.warning("%s: its rejection is discarded", stale)
    return Ignore(error.message)


def _ignored(exc: Ignore) -> NodeError:
    return NodeError(
        "celery.exceptions.Ignore",
        f"the task function raised Ignore: {text_of(exc)}" if exc.args else "the task function raised Ignore",
    )
