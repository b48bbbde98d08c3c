"""Call the function of a task with ``chunk`` once for many nodes.

The process that runs a node, the *head* of the chunk, claims further queued nodes of its lane just before the call. It
calls the function with lists. Then it runs an attempt of its own at each of the other nodes, in which the call of the
task function is replaced by the node's item of the returned list: so signals, hooks, retries and outcomes are those of
any other node.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import BoundArguments
from typing import Any
from uuid import UUID

from celery.exceptions import Retry
from django.db import DatabaseError, InterfaceError

from django_tasktree.builder.chunks import ChunkFunction, chunk_size
from django_tasktree.conf import settings
from django_tasktree.encoding import serialization
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.lifecycle.take import give_back, take
from django_tasktree.engine.types import Dispatch, NodeRef, Taker
from django_tasktree.worker.arguments import fill_in
from django_tasktree.worker.batch import Batch
from django_tasktree.worker.context import RunningNode, running_node
from django_tasktree.worker.identity import worker_of
from django_tasktree.worker.kept_connections import keep_connections
from django_tasktree.worker.taking import carrier_task_id

logger = logging.getLogger(__name__)

_thread = threading.local()
#: The ID of a head that is not a node of a tree.
_NO_NODE = UUID(int=0)


@dataclass(slots=True)
class Member:
    """A node of a chunk.

    Attributes:
        id: the ID of the node, by which the nodes are in order.
        args: its positional arguments, as the attempt sees them.
        kwargs: its keyword arguments, as the attempt sees them.
        bound: the arguments that are passed to the function; None if they can't be, because of ``error``.
        error: what the call of the task function raises in the attempt at the node.
        traceback: the traceback of ``error``, which grows whenever it is raised.
        retry: what the function has passed to ``retry()``, which is called again for this node.
        value: what the call of the task function returns in the attempt at the node.
    """

    id: UUID
    args: Any = ()
    kwargs: Any = None
    bound: BoundArguments | None = None
    error: BaseException | None = None
    traceback: Any = None
    retry: Any = None
    value: Any = None

    def fail(self, error: BaseException) -> None:
        """Let the attempt at the node raise an exception."""
        self.error, self.traceback = error, error.__traceback__

    def take(self, result: Any) -> None:
        """Take the item of the returned list. A lazy object is evaluated by ``isinstance``, which may fail."""
        if isinstance(result, Exception):
            self.fail(result)
        else:
            self.value = result

    def fill_in(self, run_id: UUID) -> None:
        """Fill in the references in the arguments of this node alone."""
        try:
            self.args, self.kwargs = retry_transient(partial(fill_in, run_id, self.args, self.kwargs))
        except Exception as exc:  # noqa: BLE001  it fails the attempt at this node
            self.fail(exc)

    def bind(self, function: ChunkFunction) -> bool:
        """Bind the arguments to the parameters of the function; return whether that is possible."""
        if self.error is None:
            try:
                self.bound = function.bind(self.args, self.kwargs)
            except TypeError as exc:
                self.fail(exc)
        return self.bound is not None

    def result(self, task: Any) -> Any:
        """Return or raise what a call of the task function for this node alone would."""
        if self.retry is not None:
            task.retry(**self.retry)
        elif self.error is not None:
            raise self.error.with_traceback(self.traceback)
        return self.value


class Chunk:
    """The nodes for which a task function is called once, from the start of the message of its head.

    Args:
        task: the task instance.
        task_id: the task ID of the head.
        is_eager: whether no worker is involved.
    """

    def __init__(self, task: Any, task_id: str, *, is_eager: bool) -> None:
        self.task_id = task_id
        self._task = task
        self._is_eager = is_eager
        self._taken: list[Dispatch] = []
        self._members: dict[str, Member] = {}
        self._is_called = False

    def __enter__(self) -> "Chunk":
        self._outer = getattr(_thread, "chunk", None)
        _thread.chunk = self
        return self

    def __exit__(self, exc_type: object, *_exc: object) -> None:
        _thread.chunk = self._outer
        # Nodes whose function has been called are lost attempts if the process dies; but no worker runs eager nodes.
        if exc_type is not None and self._taken and (self._is_eager or not self._is_called):
            give_back(self._taken)

    def member(self, task_id: str) -> Member | None:
        """Return a node that was claimed by this chunk; None if it was not."""
        return self._members.get(task_id)

    def gather(self, node: NodeRef) -> None:
        """Claim the other nodes, and fill in the references in their arguments.

        Args:
            node: the head.
        """
        request = self._task.request
        carried_by = (None if self._is_eager else carrier_task_id()) or node.task_id
        taker = Taker(node.run_id, node.lane, carried_by, request.hostname or "", worker_of(request))
        most = chunk_size(self._task) - 1
        try:
            # Nodes after this one first: so other processes whose messages arrive meanwhile get chunks of their own.
            self._taken = take(taker, most, node.id)
            if len(self._taken) < most:
                self._taken += take(taker, most - len(self._taken))
        except (DatabaseError, InterfaceError):
            logger.exception("node %s runs in a chunk of its own: the others could not be claimed", node)
        self._taken.sort(key=lambda dispatch: dispatch.id)
        self._members = {str(dispatch.task_id): _member_of(dispatch) for dispatch in self._taken}
        referring = [self._members[str(dispatch.task_id)] for dispatch in self._taken if dispatch.has_references]
        _fill_in(node.run_id, [member for member in referring if member.error is None])

    def call(self, function: ChunkFunction, args: Any, kwargs: Any) -> Any:
        """Call the function for the head and the other nodes.

        Args:
            function: the function of the task.
            args: the positional arguments of the head.
            kwargs: the keyword arguments of the head.

        Returns:
            The result of the head; it may be raised, too.
        """
        node = self._node()
        head = Member(_NO_NODE if node is None else node.id, bound=function.bind(args, kwargs))
        others = [member for member in self._members.values() if member.bind(function)]
        members = sorted([head, *others], key=lambda member: member.id)
        self._is_called = True
        self._call(function, members, node)
        return head.result(self._task)

    def _node(self) -> RunningNode | None:
        """Return the head; None if the message is not for a node, but sent in eager mode, perhaps by a node."""
        node = running_node()
        return node if node is not None and str(node.task_id) == self.task_id else None

    def _call(self, function: ChunkFunction, members: list[Member], node: RunningNode | None) -> None:
        try:
            with _for_all(node):
                results = function.call(self._task, [member.bound for member in members if member.bound is not None])
            if not self._retry_others(node):
                for member, result in zip(members, results, strict=True):
                    member.take(result)
        except BaseException as exc:
            for member in members:
                member.fail(exc)
            if isinstance(exc, Retry):
                self._retry_others(node)
            raise

    def _retry_others(self, node: RunningNode | None) -> bool:
        """Let each other node request the retry that the function has requested; return whether it has."""
        if node is None or node.retry_signature is None:
            return False
        for member in self._members.values():
            if member.bound is not None:
                member.retry = node.retry_options
        return True

    def run_others(self, run: Callable[[Dispatch], object]) -> None:
        """Run the attempts at the other nodes, or queue them again if the task function was not called.

        Args:
            run: runs the attempt at a claimed node.
        """
        if not self._is_called:
            if self._taken:
                give_back(self._taken)
            return
        # See __exit__.
        in_worker = not self._is_eager
        while self._taken:
            part, self._taken = self._taken[: settings.batch_size], self._taken[settings.batch_size :]
            with keep_connections(), Batch(part, keeps=in_worker, gives_back=not in_worker) as batch:
                while (dispatch := batch.next()) is not None:
                    run(dispatch)


def _member_of(dispatch: Dispatch) -> Member:
    member = Member(dispatch.id)
    try:
        member.args, member.kwargs = serialization.loads(dispatch.args), serialization.loads(dispatch.kwargs)
    except Exception as exc:  # noqa: BLE001  it fails the attempt at this node
        member.fail(exc)
    return member


def _fill_in(run_id: UUID, members: list[Member]) -> None:
    """Fill in references with as few queries as for one node, or one by one if a node has a broken one."""
    if not members:
        return
    calls = [[member.args, member.kwargs] for member in members]
    try:
        filled, _ = retry_transient(partial(fill_in, run_id, calls, {}))
    except Exception:
        logger.debug("a reference in the arguments of a chunk of run %s is broken", run_id, exc_info=True)
        for member in members:
            member.fill_in(run_id)
        return
    for member, (args, kwargs) in zip(members, filled, strict=True):
        member.args, member.kwargs = args, kwargs


@contextmanager
def _for_all(node: RunningNode | None) -> Iterator[None]:
    """Mark that the task function runs for several nodes, and not for the running node alone."""
    if node is None:
        yield
        return
    node.is_one_of_many = True
    try:
        yield
    finally:
        node.is_one_of_many = False


def member_of(task_id: str) -> Member | None:
    """Return a node of the chunk that this thread runs, other than its head; None if the task ID is not of one."""
    chunk: Chunk | None = getattr(_thread, "chunk", None)
    return None if chunk is None else chunk.member(task_id)


def headed_by(task_id: str) -> Chunk | None:
    """Return the chunk that this thread runs if the task ID is that of its head."""
    chunk: Chunk | None = getattr(_thread, "chunk", None)
    return chunk if chunk is not None and chunk.task_id == task_id else None
