"""One attempt at a node, from its claim to its outcome."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

import billiard.common
from celery.exceptions import Ignore, Reject, Retry, WorkerShutdown, WorkerTerminate
from django.db import DatabaseError, InterfaceError, transaction

from django_tasktree import serialization, times
from django_tasktree.atomicity import atomic_alias
from django_tasktree.blueprint import draw
from django_tasktree.engine import retry as engine_retry
from django_tasktree.engine.claim import claim
from django_tasktree.engine.park import park
from django_tasktree.engine.specs import NodeError, NodeRef, NodeSpec, Outcome, Place
from django_tasktree.engine.transient import is_transient, may_go_away, persist
from django_tasktree.exceptions import Fenced
from django_tasktree.failures import Presentable, describe, presentable
from django_tasktree.stand_ins import are_in, plain
from django_tasktree.states import NodeState
from django_tasktree.text import text_of
from django_tasktree.worker import eager
from django_tasktree.worker.arguments import fill_in
from django_tasktree.worker.commits import errors_logged_on_commit
from django_tasktree.worker.context import RunningNode, StopPropagation
from django_tasktree.worker.follow import conclude, publish_after_commit
from django_tasktree.worker.identity import worker_of
from django_tasktree.worker.lost import give_up
from django_tasktree.worker.message import HEADER
from django_tasktree.worker.open_transactions import discard_connections, guard, none_left_open, roll_back_leftovers
from django_tasktree.worker.publisher import send_retry
from django_tasktree.worker.task_result import success_row

logger = logging.getLogger(__name__)

#: What writing an outcome may raise. Where it won't go away, it is about the row, which would be refused again.
_REFUSED = (DatabaseError, ValueError)


def run_attempt(
    task: Any, ref: NodeRef, args: Sequence[Any], kwargs: Mapping[str, Any], body: Callable[..., Any]
) -> Any:
    """Claim a node, run its body and write its outcome.

    Args:
        task: the task instance, with the message's request.
        ref: the attempt that the message names.
        args: positional arguments as sent.
        kwargs: keyword arguments as sent.
        body: runs the task function, with what the task's class puts around it.

    Returns:
        What the body returned, for Celery's own result backend.

    Raises:
        Ignore: the message is a duplicate or void, or the body raised it.
        Exception: what the body raised, in a form that Celery can handle; the node's row has it by then.
    """
    if not task.request.is_eager:
        roll_back_leftovers(task.name, task.request.id, "before")
    _claim(task, ref)
    try:
        return _attempt(task, ref, partial(_run_body, task, args, kwargs, body))
    except KeyboardInterrupt as exc:
        # Somebody stops this process, in which nodes run eagerly: nothing would ever run this one again.
        with suppress(Ignore):
            _fail(ref, exc)
        raise
    except Exception as exc:  # noqa: BLE001  it is raised below
        shown = _for_celery(exc)
    try:
        # Not within the handler: as its context, what is replaced would come back into every traceback.
        raise shown
    finally:
        # Its traceback refers to this frame.
        del shown


def _attempt(task: Any, ref: NodeRef, run_body: Callable[[RunningNode], tuple[Any, Outcome]]) -> Any:
    node = RunningNode(ref)
    committed: list[bool] = []
    try:
        alias = atomic_alias(task)
        if alias is not None:
            return _run_in_transaction(task, node, run_body, alias, committed)
        value, outcome = run_body(node)
    except Retry as exc:
        _retry_later(task, node, exc)
        raise
    except Fenced as exc:
        logger.warning("%s: what its body wrote is rolled back", exc)
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
    _succeed_or_fail(task, ref, outcome, value)
    return value


def _succeed_or_fail(task: Any, ref: NodeRef, outcome: Outcome, value: Any) -> None:
    """Write a success; where the database will never take it, fail the node: another attempt would come to the same."""
    try:
        _succeed(task, ref, outcome, value)
    except _REFUSED as exc:
        if may_go_away(exc):
            raise
        with suppress(Ignore):
            # It is void where the outcome was written, and what failed came after that.
            _fail(ref, exc)
        raise


def _must_start_over(task: Any, node: RunningNode, exc: Exception, committed: list[bool]) -> bool:
    """Return whether an error is the database's, in a transaction that can be repeated."""
    if committed or not task.atomic:
        return False
    return may_go_away(exc) if node.has_returned else is_transient(exc)


def _ends_process(exc: BaseException, *, is_eager: bool) -> bool:
    """Return whether the worker or a signal ends this process: then the attempt is lost, and has not failed."""
    if isinstance(exc, (WorkerShutdown, WorkerTerminate)):
        return True
    if isinstance(exc, KeyboardInterrupt):
        # Pool processes ignore the signal, and a worker's main process handles it: there the body itself raised it.
        return is_eager
    # In a pool process, the handler of SIGTERM raises SystemExit wherever the body is.
    return isinstance(exc, SystemExit) and bool(billiard.common._should_have_exited[0])  # type: ignore[attr-defined]


def _fail(ref: NodeRef, exc: BaseException) -> None:
    """Fail the node; where the database's encoding lacks a character of the error, with the error in ASCII."""
    error = describe(exc)
    try:
        _conclude(ref, Outcome(NodeState.FAILURE, error=error))
    except _REFUSED as refusal:
        if may_go_away(refusal):
            raise
        logger.exception("node %s: its error can't be stored, so it is written in ASCII", ref.id)
        _conclude(ref, Outcome(NodeState.FAILURE, error=error.in_ascii()))


def _for_celery(exc: Exception) -> Exception:
    """Return what a body raised, or what Celery, its result backends and its logs can handle instead."""
    shown = presentable(exc)
    if isinstance(shown, Presentable):
        shown.__context__ = None
    if shown is exc:
        return shown
    kept: Any = exc
    message: Any = text_of(shown)
    if isinstance(exc, Retry):
        return Retry(message, kept.exc, kept.when, is_eager=kept.is_eager, sig=kept.sig)
    if isinstance(exc, Reject):
        return Reject(message, requeue=False)
    return Ignore(message) if isinstance(exc, Ignore) else shown


def _claim(task: Any, ref: NodeRef) -> None:
    """Claim the node.

    Raises:
        Ignore: the message is void, or the database fails. In that case the node stays queued, and the sweep sends its
            message again.
        Reject: the database fails, and the broker still has the message: it is delivered again.
    """
    try:
        _claim_or_park(task, ref)
    except (DatabaseError, InterfaceError) as exc:
        if task.request.is_eager:
            raise
        logger.exception("node %s could not be claimed by task %s[%s]: it stays queued", ref.id, task.name, ref.task_id)
        discard_connections()
        text = f"node {ref.id} could not be claimed: {text_of(exc)}"
        raise (Reject(text, requeue=True) if task.acks_late else Ignore(text)) from exc


def _claim_or_park(task: Any, ref: NodeRef) -> None:
    while not claim(ref, task.request.hostname or "", worker_of(task.request)):
        parked = persist(lambda: park(ref))
        if not parked.again:
            logger.info("task %s[%s]: a duplicate, void or early message of node %s", task.name, ref.task_id, ref.id)
            publish_after_commit(ref.run_id, parked.dispatches)
            raise Ignore


def _start_over(task: Any, ref: NodeRef, exc: Exception) -> Ignore:
    """Queue the node of an atomic body anew whose transaction fell to a deadlock, or to a database that went away."""
    try:
        again = persist(lambda: give_up(ref, task, describe(exc)))
    except Fenced as fenced:
        logger.warning("%s", fenced)
    else:
        logger.warning("node %s: its transaction failed (%s); it %s", ref.id, exc, "runs again" if again else "fails")
    return Ignore(str(exc))


def _run_in_transaction(
    task: Any,
    node: RunningNode,
    run_body: Callable[[RunningNode], tuple[Any, Outcome]],
    alias: str,
    committed: list[bool],
) -> Any:
    """Run the body and write its outcome in one transaction; whatever is raised rolls both back.

    Args:
        task: see :func:`run_attempt`.
        node: the node.
        run_body: runs the body and returns its value and its outcome.
        alias: the database.
        committed: gets an entry once both are committed; what fails after that is no failure of the node.
    """
    look = guard(f"what task {task.name} registered with on_commit")
    with transaction.atomic(using=alias):
        transaction.on_commit(lambda: committed.append(True), using=alias)
        with errors_logged_on_commit(alias):
            value, outcome = run_body(node)
        transaction.on_commit(look, using=alias)
        _succeed(task, node.ref, outcome, value, alias)
    return value


def _run_body(task: Any, args: Any, kwargs: Any, body: Callable[..., Any], node: RunningNode) -> tuple[Any, Outcome]:
    if task.request.headers[HEADER].get("references", True):
        args, kwargs = persist(partial(fill_in, node.run_id, args, kwargs))
    stop = False
    # A transaction around the body is all that eager.body() would be.
    with node, eager.body() if task.request.is_eager and not task.atomic else nullcontext():
        try:
            with none_left_open(task.name):
                task.before_start(task.request.id, args, kwargs)
                value = body(*args, **kwargs)
        except StopPropagation as exc:
            value, stop = exc.result, True
        except Retry as exc:
            if node.retry_signature is None:
                raise TypeError(f"task {task.name!r} raised Retry itself: call self.retry(), which sends it") from exc
            raise
        except BaseException as exc:
            if isinstance(exc, Exception) or _ends_process(exc, is_eager=task.request.is_eager):
                raise
            # What is no Exception would end the process, here and in Celery: SystemExit, asyncio.CancelledError.
            raise presentable(exc) from None
    node.has_returned = True
    if node.retry_signature is not None:
        # The body called retry(throw=False) and returned: it did ask for another attempt.
        raise Retry(sig=node.retry_signature)
    prefer = "pickle" if task.app.conf.result_serializer == "pickle" else "json"
    result = serialization.write(value, "max_result_size", prefer=prefer)
    given = plain(value) if prefer != "pickle" and are_in(result) else value
    return given, Outcome(NodeState.SUCCESS, result=result, stop=stop, added=_added(node))


def _added(node: RunningNode) -> tuple[NodeSpec, ...]:
    if not node.children:
        return ()
    ref = node.ref
    limiter = ref.limiter if ref.max_active is None else ref.id
    return tuple(draw(node, Place(ref.run_id, ref.id, ref.child_count, ref.stops, limiter)).specs)


def _succeed(task: Any, ref: NodeRef, outcome: Outcome, value: Any, alias: str | None = None) -> None:
    # In a transaction a void attempt must go on as an error, which rolls back.
    write = _conclude if alias is None else conclude
    row = success_row(task, value)
    if row is None:
        write(ref, outcome)
        return
    try:
        with nullcontext() if alias is None else transaction.atomic(using=alias):
            write(ref, replace(outcome, beside=row))
    except _REFUSED as exc:
        if may_go_away(exc):
            raise
        logger.exception("node %s: its TaskResult can't be stored, so it is left to Celery", ref.id)
        write(ref, outcome)
        return
    # Celery would store it once more.
    task.request.ignore_result = True


def _conclude(ref: NodeRef, outcome: Outcome) -> None:
    try:
        conclude(ref, outcome)
    except Fenced as exc:
        logger.warning("%s: its outcome (%s) is dropped", exc, outcome.state)
        raise Ignore(str(exc)) from exc


def _retry_later(task: Any, node: RunningNode, exc: Any) -> None:
    """Commit the move to RETRY, then send the message that the body's ``retry()`` made."""
    signature = node.retry_signature
    reason = node.retry_error or NodeError("celery.exceptions.Retry", text_of(exc))
    try:
        task_id = engine_retry.retry(node.ref, reason, _eta(signature.options), node.retry_arguments)
    except Fenced as fenced:
        raise Ignore(str(fenced)) from exc
    signature.set(task_id=str(task_id))
    # Celery would run an eager retry within this call: many retries would use up the stack.
    exc.sig = None
    send_retry(node, signature, is_eager=task.request.is_eager)


def _eta(options: Mapping[str, Any]) -> datetime | None:
    if options.get("eta"):
        return times.as_stored(options["eta"])
    countdown = options.get("countdown")
    return times.after(times.now(), countdown) if countdown else None


def _reject(ref: NodeRef, exc: Any) -> Exception:
    """Fail the node, or queue it anew; the new message makes the broker's own redelivery void."""
    reason = "no reason given" if exc.reason is None else text_of(exc.reason)
    error = NodeError("celery.exceptions.Reject", f"the body rejected its message: {reason}")
    if not exc.requeue:
        _conclude(ref, Outcome(NodeState.FAILURE, error=error))
        return cast("Exception", exc)
    try:
        publish_after_commit(ref.run_id, [engine_retry.requeue(ref, engine_retry.REJECTED, error)])
    except Fenced as fenced:
        logger.warning("%s: its rejection is dropped", fenced)
    return Ignore(error.message)


def _ignored(exc: Ignore) -> NodeError:
    return NodeError(
        "celery.exceptions.Ignore",
        f"the body asked to be ignored: {text_of(exc)}" if exc.args else "the body asked to be ignored",
    )
