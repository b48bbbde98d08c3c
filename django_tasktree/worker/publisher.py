"""Send the messages of queued nodes: ordinary messages of the users' own tasks, with one small header."""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import kombu.exceptions
from celery import Task, current_app
from celery.signals import task_revoked
from celery.utils.quorum_queues import detect_quorum_queues

from django_tasktree import serialization, times
from django_tasktree.citizens import LOSS_OPTIONS
from django_tasktree.conf import settings
from django_tasktree.engine.specs import Dispatch
from django_tasktree.exceptions import SerializationError
from django_tasktree.worker import eager
from django_tasktree.worker.context import RunningNode
from django_tasktree.worker.message import HEADER, header_of
from django_tasktree.worker.timed_broker import TimedProducer

logger = logging.getLogger(__name__)

#: The serializers that can hold a reference to another node's result.
_WITH_REFERENCES = ("json", "pickle")

_thread = threading.local()


@dataclass
class Report:
    """What became of the messages.

    Attributes:
        seen: how many nodes there were.
        refused: nodes whose message can't be made, with the reason.
        unsent: how many stay QUEUED because the broker could not be reached.
    """

    seen: int = 0
    refused: list[tuple[Dispatch, Exception]] = field(default_factory=list)
    unsent: int = 0


def publish(dispatches: Iterable[Dispatch]) -> Report:
    """Send the messages of nodes.

    Where the broker can't be reached the nodes stay QUEUED, and a warning is logged.
    """
    report = Report()
    iterator = iter(dispatches)
    first = next(iterator, None)
    if first is None:
        return report
    app: Any = current_app
    if eager.is_on(app):
        eager.run(_calls(app, [first, *iterator], report))
        return report
    try:
        _send_all(app, first, iterator, report)
    except unreachable(app) as exc:
        report.unsent = 1 + sum(1 for _ in iterator)
        report.seen += report.unsent
        logger.warning(
            "the broker can't be reached (%r): %d node(s) of run %s stay QUEUED",
            exc,
            report.unsent,
            first.run_id,
        )
    return report


def send_retry(node: RunningNode, signature: Any, *, is_eager: bool) -> None:
    """Send the message of a node's next attempt; where the broker can't be reached the node stays in RETRY.

    Args:
        node: the node.
        signature: what the body's ``retry()`` made.
        is_eager: whether the attempt that ends here was run in this process; then so is the next one, at once.
    """
    if is_eager:
        eager.run([partial(signature.apply, throw=False)])
        return
    app: Any = current_app
    # Celery would take the task's own serializer, which need not be able to write these arguments.
    serializer = signature.options["headers"][HEADER].get("serializer")
    options = {**signature.options, **({"serializer": serializer} if serializer else {})}
    try:
        _apply_async(signature.type, signature.args, signature.kwargs, options)
    except unreachable(app) as exc:
        logger.warning("the broker can't be reached (%r): node %s of run %s stays in RETRY", exc, node.id, node.run_id)


def _send_all(app: Any, first: Dispatch, rest: Iterable[Dispatch], report: Report) -> None:
    with _producer(app) as producer:
        second = next(iter(rest), None)
        with nullcontext() if second is None else _batch(producer):
            _send_or_refuse(app, first, producer, report)
            if second is None:
                return
            _send_or_refuse(app, second, producer, report)
            for dispatch in rest:
                _send_or_refuse(app, dispatch, producer, report)


@contextmanager
def over_timed_connection() -> Iterator[None]:
    """Let this thread send the messages of the block over a connection of its own that has time limits."""
    _thread.producer = TimedProducer()
    try:
        yield
    finally:
        producer, _thread.producer = _thread.producer, None
        producer.close()


def _producer(app: Any) -> Any:
    timed: TimedProducer | None = getattr(_thread, "producer", None)
    return app.producer_or_acquire() if timed is None else timed.get(app)


def _send_or_refuse(app: Any, dispatch: Dispatch, producer: Any, report: Report) -> None:
    try:
        _send(app, dispatch, producer)
    except unreachable(app):
        raise
    except Exception as exc:
        logger.exception("the message of node %s (%s) can't be made", dispatch.id, dispatch.task)
        report.refused.append((dispatch, exc))
    report.seen += 1


def _send(app: Any, dispatch: Dispatch, producer: Any) -> None:
    task = app.tasks.get(dispatch.task)
    args, kwargs, options = _call(app, dispatch)
    options.update(producer=producer, add_to_parent=False)
    if task is None:
        # The process that releases a node need not know its task, as long as the worker that gets it does.
        app.send_task(dispatch.task, args, kwargs, **_whole_delay(app, options))
    else:
        _apply_async(task, args, kwargs, options)


def _apply_async(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
    """Send a message by the task's own ``apply_async``; where that sends none, by Celery's.

    Classes that keep a task from being queued twice (celery-once, celery-singleton) return without sending, or raise.
    A node's message must be sent: the node itself is what runs once.
    """
    options = _whole_delay(task.app, options)
    if _is_known(task):
        task.apply_async(args, kwargs, **options)
        return
    try:
        result = task.apply_async(args, kwargs, **options)
    except unreachable(task.app):
        raise
    except Exception as exc:  # noqa: BLE001  Celery's own raises it again where it is about the message
        reason = repr(exc)
    else:
        if getattr(result, "id", None) == options["task_id"]:
            return
        reason = f"it returned {result!r}"
    logger.warning(
        "task %s[%s]: the apply_async of its class did not send a node's message (%s): Celery's own sends it",
        task.name,
        options["task_id"],
        reason,
    )
    Task.apply_async(task, args, kwargs, **options)


def _whole_delay(app: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Round a delay up to whole seconds where the broker delays messages itself: it knows no others, and refuses zero.

    That is so with RabbitMQ's quorum queues.
    """
    eta = options.get("eta")
    if eta is None and not options.get("countdown"):
        return options
    kind = app.producer_pool.connections.connection.transport.driver_type
    if not detect_quorum_queues(app, kind)[0]:
        return options
    seconds = times.elapsed(times.instant_now(), times.read(eta)).total_seconds() if eta else options["countdown"]
    rounded = {name: value for name, value in options.items() if name not in ("eta", "countdown")}
    return {**rounded, "countdown": math.ceil(seconds)} if seconds > 0 else rounded


def _is_known(task: Any) -> bool:
    module = getattr(type(task).apply_async, "__module__", None) or ""
    return module.split(".")[0] in ("celery", "django_tasktree")


def _calls(app: Any, dispatches: Iterable[Dispatch], report: Report) -> Iterator[Callable[[], Any]]:
    """Prepare to run nodes in this process; their failures stand in their rows."""
    for dispatch in dispatches:
        report.seen += 1
        try:
            yield _eager_call(app, dispatch)
        except Exception as exc:
            logger.exception("node %s (%s) can't be called", dispatch.id, dispatch.task)
            report.refused.append((dispatch, exc))


def _eager_call(app: Any, dispatch: Dispatch) -> Callable[[], Any]:
    task = app.tasks[dispatch.task]
    args, kwargs, options = _call(app, dispatch)
    if _has_expired(options.get("expires")):
        # As a worker does with a message that comes too late.
        request = SimpleNamespace(id=options["task_id"], headers=options["headers"])
        return partial(task_revoked.send, sender=task, request=request, terminated=False, signum=None, expired=True)
    return partial(task.apply, args, kwargs, throw=False, **options)


def _has_expired(expires: Any) -> bool:
    if isinstance(expires, (int, float)):
        return expires <= 0
    if expires is None:
        return False
    return times.read(expires) <= times.instant_now()


def _serializer(app: Any, task_name: str, options: dict[str, Any]) -> str:
    task = app.tasks.get(task_name)
    chosen = options.get("serializer") or getattr(task, "serializer", None) or app.conf.task_serializer
    return str(chosen)


def _json(app: Any, dispatch: Dispatch) -> str:
    """Choose JSON for a message that passes other nodes' results on.

    Raises:
        SerializationError: Celery does not accept JSON.
    """
    if not {"json", "application/json"} & set(app.conf.accept_content or ()):
        raise SerializationError(
            f"task {dispatch.task!r} takes other nodes' results, whose references only JSON and pickle can hold: add "
            "'json' to CELERY_ACCEPT_CONTENT, or give the task serializer='json'"
        )
    return "json"


def _call(app: Any, dispatch: Dispatch) -> tuple[Any, Any, dict[str, Any]]:
    stored: dict[str, Any] = serialization.loads(dispatch.options)
    options = {name: value for name, value in stored.items() if name not in LOSS_OPTIONS}
    if not settings.store_task_results:
        options.setdefault("ignore_result", True)
    if dispatch.retries:
        options["retries"] = dispatch.retries
    if dispatch.eta is not None:
        options.pop("countdown", None)
        options["eta"] = times.instant(dispatch.eta)
    if serialization.is_pickled(dispatch.args) or serialization.is_pickled(dispatch.kwargs):
        options.setdefault("serializer", "pickle")
    elif dispatch.has_references and _serializer(app, dispatch.task, options) not in _WITH_REFERENCES:
        options["serializer"] = _json(app, dispatch)
    header = header_of(dispatch)
    if "serializer" in options:
        header["serializer"] = options["serializer"]
    options.update(
        task_id=str(dispatch.task_id),
        root_id=str(dispatch.run_id),
        parent_id=str(dispatch.parent_id or dispatch.run_id),
        headers={HEADER: header},
    )
    return serialization.loads(dispatch.args), serialization.loads(dispatch.kwargs), options


def _batch(producer: Any) -> Any:
    """Kombu's batch, from 5.7 on; a transport that has none publishes at once."""
    batch = getattr(producer, "batch", None)
    return nullcontext() if batch is None else batch(max_size=settings.batch_size)


def unreachable(app: Any) -> tuple[type[BaseException], ...]:
    """The errors that tell of the connection, not of the message."""
    connection = app.connection_for_write()
    batch_error = getattr(kombu.exceptions, "BatchPublishError", None)
    return (
        kombu.exceptions.OperationalError,
        *connection.connection_errors,
        *connection.channel_errors,
        *([batch_error] if batch_error else []),
    )
