"""After the node of a message has ended, run more queued nodes of its lane in the same process for a short time."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import Any
from uuid import UUID

from celery import current_app, signals
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject
from django.db import connections

from django_tasktree.builder.chunks import chunk_size, seconds_to_share
from django_tasktree.builder.lanes import time_limits
from django_tasktree.dispatch.after_commit import finish_and_propagate, publish_now
from django_tasktree.dispatch.message import HEADER, read_header
from django_tasktree.dispatch.publisher import call_of
from django_tasktree.dispatch.shared_messages import CurrentLane, taking
from django_tasktree.encoding.errors import describe
from django_tasktree.engine.lifecycle.take import FROM_THE_FIRST, give_back, next_in_lane, take
from django_tasktree.engine.types import Dispatch, NodeRef, Outcome, Taker
from django_tasktree.exceptions import StaleAttempt
from django_tasktree.states import NodeState
from django_tasktree.worker import task_events
from django_tasktree.worker.batch import Batch
from django_tasktree.worker.kept_connections import keep_connections
from django_tasktree.worker.task_events import with_events

logger = logging.getLogger(__name__)

#: The maximum number of nodes that are taken together.
_MOST = 32
#: Nodes that are taken together take at most this share of the time that is left.
_SHARE = 0.5
#: How much the last node counts in the mean duration of the nodes of a task.
_WEIGHT = 0.3

_thread = threading.local()
#: The name of a task -> the mean duration of its nodes in this process, in seconds.
_durations: dict[str, float] = {}

#: The entries of the request of a message that those of the other nodes have too.
_OF_CARRIER = ("hostname", "delivery_info", "tasktree_worker", task_events.KEY)

Tracer = Callable[..., Any]


def taking_tracer(tracer: Tracer) -> Tracer:
    """Return a tracer that takes more nodes after the node of a message.

    Args:
        tracer: the tracer that Celery has built for a task, see ``celery.app.trace.build_tracer``.
    """

    @wraps(tracer)
    def trace(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        node = _carrying_attempt(uuid, request)
        if node is None:
            return _without_frames(tracer(uuid, args, kwargs, request))
        deadline = time.monotonic() + seconds_to_share(_task_of(request))
        with taking(_taker_of(node, request), deadline) as lane, _Taking(lane, request, node.id) as nodes:
            result = _without_frames(tracer(uuid, args, kwargs, request))
            nodes.run(is_idle=_is_refused(result))
        return result

    return trace


def _without_frames(result: Any) -> Any:
    """Break the reference cycle in what a tracer has returned, if any, which would keep the request in memory.

    Celery keeps an exception such as Ignore in the frame of its tracer, which is in the traceback of the exception.
    """
    _, info, *_ = result
    if info is not None and isinstance(info.retval, BaseException):
        info.retval.__traceback__ = None
    return result


def _carrying_attempt(task_id: str, request: Any) -> NodeRef | None:
    """Return the attempt that a message names if its process may take more nodes."""
    header = (request or {}).get(HEADER)
    if not header or not header.get("lane") or request.get("is_eager"):
        return None
    return read_header(request, task_id) if carrier_task_id() is None else None


def _task_of(request: Any) -> Any:
    return current_app.tasks.get(request.get("task"))


def carrier_task_id() -> UUID | None:
    """Return the task ID of the message that this thread handles; None if it takes no further nodes."""
    return getattr(_thread, "carrier", None)


def _taker_of(node: NodeRef, request: Mapping[str, Any]) -> Taker:
    worker_id = request.get("tasktree_worker")
    return Taker(
        run_id=node.run_id,
        lane=node.lane,
        carried_by=node.task_id,
        worker=request.get("hostname") or "",
        worker_id=UUID(hex=worker_id) if worker_id else None,
    )


class ClaimRefused(Ignore):
    """The node of a message was not claimed, and its task function was not called."""


def _is_refused(result: Any) -> bool:
    """Return whether a tracer has not run the node of its message."""
    _, info, *_ = result
    return info is not None and isinstance(info.retval, ClaimRefused)


class _Taking:
    """The nodes that a process takes in the course of one message. Nobody waits for a long task function among them.

    When the time is over and one of them still runs, another thread writes the outcomes of those before it, queues
    those after it again, and sends the message of the next node.

    Args:
        lane: the lane of which this thread takes nodes.
        request: the request of the message.
        node_id: the node of the message.
    """

    def __init__(self, lane: CurrentLane, request: Mapping[str, Any], node_id: UUID) -> None:
        self._lane = lane
        self._taker = lane.taker
        self._request = request
        self._after = node_id
        self._task = request.get("task", "")
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._batch: Batch | None = None
        self._is_over = self._has_sent_next = False
        lane.may_take_child = not self._has_chunks

    def __enter__(self) -> "_Taking":
        _thread.carrier = self._taker.carried_by
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_exc: object) -> None:
        # An exception such as SystemExit may have ended the message.
        _thread.carrier = None
        if child := self._lane.pop_child():
            publish_now(self._taker.run_id, give_back(child))
        elif exc_type is not None and not issubclass(exc_type, Exception):
            # Other exceptions are Celery's own, before the claim: the message would be that of the same node.
            self._send_next()

    def run(self, *, is_idle: bool) -> None:
        """Take and run nodes until none is left or the time is over; then send a message for those that are left.

        Args:
            is_idle: whether the node of the message was not run: most often, another process has taken it.
        """
        try:
            try:
                with keep_connections():
                    is_empty = self._take_all(is_idle and self._has_chunks)
            finally:
                self._stop_timer()
            if not is_empty:
                self._send_next()
        except Exception:
            # The node of the message has ended well. This worker recovers the nodes that it has taken, and the sweep
            # sends the message.
            logger.exception(
                "run %s: nodes that share message %s could not be run or stored",
                self._taker.run_id,
                self._taker.carried_by,
            )
        except BaseException:
            # The process ends.
            self._send_next()
            raise

    def _take_all(self, has_chunk_left: bool) -> bool:
        while not self._lane.run_has_ended:
            left = self._lane.deadline - time.monotonic()
            if child := self._lane.pop_child():
                self._run(child, left)
            elif (self._is_over or left <= 0) and not has_chunk_left:
                # Each message runs a chunk, even if there is no time for more. It need not be that of its own node.
                return False
            elif taken := take(self._taker, self._how_many(left), self._after):
                self._after = taken[-1].id
                self._run(taken, left)
                has_chunk_left = False
            elif self._after == FROM_THE_FIRST:
                return True
            else:
                # Nodes with a lower ID may have been queued in the meantime.
                self._after = FROM_THE_FIRST
        return True

    @property
    def _has_chunks(self) -> bool:
        """Whether the call of the task function claims the nodes that it runs for."""
        return chunk_size(current_app.tasks.get(self._task)) > 1

    def _how_many(self, left: float) -> int:
        if self._has_chunks:
            return 1
        duration = _durations.get(self._task)
        return 1 if duration is None else max(1, min(_MOST, int(left * _SHARE / max(duration, 1e-5))))

    def _run(self, taken: list[Dispatch], left: float) -> None:
        self._lane.may_take_child = len(taken) == 1 and not self._has_chunks
        with Batch(taken) as batch:
            # The first one runs in any case, even if the time is over.
            dispatch = batch.next()
            with self._watched(batch, left):
                while dispatch is not None:
                    self._run_and_measure(dispatch)
                    dispatch = batch.next() if time.monotonic() <= self._lane.deadline else None

    def _run_and_measure(self, dispatch: Dispatch) -> None:
        start = time.monotonic()
        self._run_one(dispatch)
        duration = time.monotonic() - start
        self._task = dispatch.task
        before = _durations.get(dispatch.task, duration)
        _durations[dispatch.task] = before + _WEIGHT * (duration - before)

    @contextmanager
    def _watched(self, batch: Batch, left: float) -> Iterator[None]:
        """Let another thread close a batch in which a task function still runs when the time is over.

        If the time has ended while the nodes were being taken, close it now: the first one may take long.
        """
        if self._timer is None:
            self._timer = threading.Timer(max(left, 0.001), self._expire)
            self._timer.daemon = True
            self._timer.start()
        with self._lock:
            if self._is_over:
                batch.close()
                self._send_next()
            self._batch = batch
        try:
            yield
        finally:
            with self._lock:
                self._batch = None

    def _stop_timer(self) -> None:
        # The timer refers to this object.
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _expire(self) -> None:
        try:
            with self._lock:
                self._is_over = True
                if self._batch is not None:
                    try:
                        self._batch.close()
                    finally:
                        self._send_next()
        except Exception:
            logger.exception(
                "nodes that share a message could not be written; they will be when the task function ends"
            )
        finally:
            connections.close_all()

    def _run_one(self, dispatch: Dispatch) -> None:
        task = current_app.tasks.get(dispatch.task)
        if task is None:
            # A worker with newer code may know it: this one's main process handles its message.
            publish_now(dispatch.run_id, give_back([dispatch], leave_lane=True))
            return
        run_taken(task, dispatch, self._request)

    def _send_next(self) -> None:
        """Send the next message, once: the number of messages in the queue must not grow."""
        with self._lock:
            if not self._has_sent_next:
                # Nodes that are queued after the query below would not have a message: this thread sends one for each.
                self._lane.is_over = True
                publish_now(self._taker.run_id, next_in_lane(self._taker.run_id, self._taker.lane))
                self._has_sent_next = True


def run_taken(task: Any, dispatch: Dispatch, carrier_request: Mapping[str, Any]) -> None:
    """Run the attempt at a node that was taken, as if it had a message of its own.

    Args:
        task: the task instance.
        dispatch: the node.
        carrier_request: the request of the message whose process has taken the node.
    """
    app: Any = current_app
    try:
        args, kwargs, request = _request_of(app, task, dispatch, carrier_request)
    except Exception as exc:
        logger.exception("the message of node %s (%s) could not be created", dispatch, dispatch.task)
        for queued in give_back([dispatch]):
            failure = Outcome(NodeState.FAILURE, error=describe(exc))
            with suppress(StaleAttempt):
                # Otherwise another process has taken it.
                finish_and_propagate(NodeRef.of(queued), failure, [NodeState.QUEUED])
        return
    if task.__trace__ is None:
        _build_tracer(app, task, request["hostname"])
    call = partial(task.__trace__, str(dispatch.task_id), args, kwargs, request)
    einfo, info, *_ = with_events(app, task, request, call)
    if info is not None and isinstance(info.retval, Reject):
        _record_rejection(task, einfo, info.retval, request)


def _record_rejection(task: Any, einfo: Any, exc: Reject, request: dict[str, Any]) -> None:
    """Do what a worker's main process does if a task function rejects its message for good."""
    task.backend.mark_as_failure(
        request["id"],
        exc,
        request=Context(request),
        store_result=not task.ignore_result or task.store_errors_even_if_ignored,
    )
    signals.task_failure.send(
        sender=task,
        task_id=request["id"],
        exception=exc,
        args=request["args"],
        kwargs=request["kwargs"],
        traceback=einfo.traceback,
        einfo=einfo,
    )


def _build_tracer(app: Any, task: Any, hostname: str) -> None:
    task.__trace__ = build_tracer(task.name, task, app.loader, hostname, app=app)


def _request_of(
    app: Any, task: Any, dispatch: Dispatch, carrier_request: Mapping[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Return the arguments and the request that a message of the node's own would have led to."""
    args, kwargs, options = call_of(app, dispatch)
    ignore_result = options.get("ignore_result")
    limits = time_limits(task, options)
    message = app.amqp.as_task_v2(
        options["task_id"],
        dispatch.task,
        args,
        kwargs,
        root_id=options["root_id"],
        parent_id=options["parent_id"],
        shadow=options.get("shadow"),
        time_limit=limits[0],
        soft_time_limit=limits[1],
        ignore_result=task.ignore_result if ignore_result is None else ignore_result,
        origin=carrier_request.get("origin"),
    )
    headers = {**message.headers, **options["headers"]}
    if signals.before_task_publish.receivers:
        # Receivers may add headers, such as the context of a trace.
        signals.before_task_publish.send(
            sender=dispatch.task,
            body=message.body,
            exchange=carrier_request["delivery_info"].get("exchange"),
            routing_key=carrier_request["delivery_info"].get("routing_key"),
            headers=headers,
            properties=message.properties,
            declare=[],
            retry_policy={},
        )
    same = {name: carrier_request[name] for name in _OF_CARRIER if name in carrier_request}
    request = {**headers, **same, "properties": message.properties, "args": args, "kwargs": kwargs, "is_eager": False}
    request.update(reply_to="", correlation_id=options["task_id"])
    return args, kwargs, request
