"""Send the messages of queued nodes: ordinary messages of the project's own tasks with one additional header."""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import kombu.exceptions
from celery import Task, current_app
from celery.signals import task_revoked
from celery.utils.quorum_queues import detect_quorum_queues

from django_tasktree.builder.calls import OWN_OPTIONS
from django_tasktree.builder.routes import leaves_sending_to_celery
from django_tasktree.conf import settings
from django_tasktree.dispatch import eager
from django_tasktree.dispatch.message import HEADER, header_of
from django_tasktree.dispatch.timed_broker import TimedProducer
from django_tasktree.encoding import serialization, times
from django_tasktree.engine.types import Dispatch
from django_tasktree.exceptions import SerializationError

if TYPE_CHECKING:
    from django_tasktree.worker.context import RunningNode

logger = logging.getLogger(__name__)

_thread = threading.local()


@dataclass
class Report:
    """The result of publishing nodes.

    Attributes:
        seen: the number of nodes.
        refused: the nodes whose message could not be created, with the exception.
        unsent: the number of nodes that stay QUEUED because the broker could not be reached.
    """

    seen: int = 0
    refused: list[tuple[Dispatch, Exception]] = field(default_factory=list)
    unsent: int = 0


def publish(dispatches: Iterable[Dispatch]) -> Report:
    """Send the messages of queued nodes; in eager mode, run the nodes in this process.

    If the broker can't be reached, a warning is logged and the remaining nodes stay QUEUED until the sweep sends their
    messages.

    Args:
        dispatches: the nodes.
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
        send_all(app, first, iterator, report)
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


def send_retry(node: "RunningNode", signature: Any, *, is_eager: bool) -> None:
    """Send the message of a node's next attempt.

    If the broker can't be reached, a warning is logged and the node stays in RETRY until the sweep sends the message.

    Args:
        node: the node.
        signature: the signature that the task function's ``retry()`` created.
        is_eager: whether to run the next attempt in this process, at once, instead of sending a message.
    """
    if is_eager:
        eager.run([partial(signature.apply, throw=False)])
        return
    app: Any = current_app
    # Celery would use the task's own serializer, which may not be able to encode these arguments.
    serializer = signature.options["headers"][HEADER].get("serializer")
    options = {**signature.options, **({"serializer": serializer} if serializer else {})}
    try:
        _apply_async(signature.type, signature.args, signature.kwargs, options)
    except unreachable(app) as exc:
        logger.warning("the broker can't be reached (%r): node %s of run %s stays in RETRY", exc, node, node.run_id)


def send_all(app: Any, first: Dispatch, rest: Iterable[Dispatch], report: Report) -> None:
    """Send the messages of nodes over one connection.

    Args:
        app: the Celery application.
        first: the first node.
        rest: the other nodes. Those that are left when the broker can't be reached are not taken from it.
        report: what was sent and refused is added to it.

    Raises:
        OperationalError: if the broker can't be reached.
    """
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
    """Make this thread send the messages of the block over a connection of its own, with time limits."""
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
        send(app, dispatch, producer)
    except unreachable(app):
        raise
    except Exception as exc:
        logger.exception("the message of node %s (%s) could not be created", dispatch, dispatch.task)
        report.refused.append((dispatch, exc))
    report.seen += 1


def send(app: Any, dispatch: Dispatch, producer: Any) -> None:
    """Send the message of one node; see :func:`send_all`."""
    task = app.tasks.get(dispatch.task)
    args, kwargs, options = call_of(app, dispatch)
    options.update(producer=producer, add_to_parent=False)
    if task is None:
        # The task need not be registered in the process that releases a node, only in the worker that runs it.
        app.send_task(dispatch.task, args, kwargs, **_whole_delay(app, options))
    else:
        _apply_async(task, args, kwargs, options)


def _apply_async(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
    """Send a message with the task's own ``apply_async``, or with Celery's if that does not send it.

    Classes that keep a task from being queued twice (celery-once, celery-singleton) return without sending, or raise.
    A node's message must be sent; the node's row ensures that it runs once.
    """
    options = _whole_delay(task.app, options)
    if leaves_sending_to_celery(task):
        task.apply_async(args, kwargs, **options)
        return
    try:
        result = task.apply_async(args, kwargs, **options)
    except unreachable(task.app):
        raise
    except Exception as exc:  # noqa: BLE001  Celery's apply_async raises it again if it is about the message
        reason = repr(exc)
    else:
        if getattr(result, "id", None) == options["task_id"]:
            return
        reason = f"it returned {result!r}"
    logger.warning(
        "task %s[%s]: the apply_async of its class did not send a node's message (%s), so Celery's own sends it",
        task.name,
        options["task_id"],
        reason,
    )
    Task.apply_async(task, args, kwargs, **options)


def _whole_delay(app: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Round a delay up to whole seconds if the broker itself delays messages, as RabbitMQ's quorum queues do.

    Such a broker supports only whole seconds, and refuses a delay of zero.
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


def _calls(app: Any, dispatches: Iterable[Dispatch], report: Report) -> Iterator[Callable[[], Any]]:
    """Yield a call for each node that runs it in this process; the node's row stores its failure."""
    for dispatch in dispatches:
        report.seen += 1
        try:
            yield eager_call(app, dispatch)
        except Exception as exc:
            logger.exception("node %s (%s) can't be called", dispatch, dispatch.task)
            report.refused.append((dispatch, exc))


def eager_call(app: Any, dispatch: Dispatch) -> Callable[[], Any]:
    """Return a function that runs a node in this process."""
    task = app.tasks[dispatch.task]
    args, kwargs, options = call_of(app, dispatch)
    if _has_expired(options.get("expires")):
        # What a worker does with a message that has expired.
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


def _json(dispatch: Dispatch) -> str:
    """Return the name of the JSON serializer, for a message with references to other nodes' results.

    Raises:
        SerializationError: if Celery does not accept JSON.
    """
    if not serialization.json_accepted():
        raise SerializationError(
            f"task {dispatch.task!r} takes other nodes' results, and only JSON and pickle can encode the references: "
            "add 'json' to CELERY_ACCEPT_CONTENT, or give the task serializer='json'"
        )
    return "json"


def call_of(app: Any, dispatch: Dispatch) -> tuple[Any, Any, dict[str, Any]]:
    """Return the arguments, keyword arguments and options of ``apply_async`` for the message of a node."""
    stored: dict[str, Any] = serialization.loads(dispatch.options)
    args, kwargs = serialization.loads(dispatch.args), serialization.loads(dispatch.kwargs)
    options = {name: value for name, value in stored.items() if name not in OWN_OPTIONS}
    if not settings.store_task_results:
        options.setdefault("ignore_result", True)
    if dispatch.retries:
        options["retries"] = dispatch.retries
    if dispatch.eta is not None:
        options.pop("countdown", None)
        options["eta"] = times.instant(dispatch.eta)
    if serialization.is_pickled(dispatch.args) or serialization.is_pickled(dispatch.kwargs):
        options.setdefault("serializer", "pickle")
    elif dispatch.has_references and _serializer(app, dispatch.task, options) not in serialization.WITH_REFERENCES:
        options["serializer"] = _json(dispatch)
    header = header_of(dispatch)
    if "serializer" in options:
        header["serializer"] = options["serializer"]
    options.update(
        task_id=str(dispatch.task_id),
        root_id=str(dispatch.run_id),
        parent_id=str(dispatch.parent_id or dispatch.run_id),
        headers={HEADER: header},
    )
    return args, kwargs, options


def _batch(producer: Any) -> Any:
    """Return a context in which kombu (from 5.7 on) sends messages in batches; else each is sent at once."""
    batch = getattr(producer, "batch", None)
    return nullcontext() if batch is None else batch(max_size=settings.batch_size)


def unreachable(app: Any) -> tuple[type[BaseException], ...]:
    """Return the exception types that mean that the broker can't be reached, not that the message is wrong.

    Args:
        app: the Celery application.
    """
    connection = app.connection_for_write()
    batch_error = getattr(kombu.exceptions, "BatchPublishError", None)
    return (
        kombu.exceptions.OperationalError,
        *connection.connection_errors,
        *connection.channel_errors,
        *([batch_error] if batch_error else []),
    )
