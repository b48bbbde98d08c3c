"""The handle of a node of a run, and of the nodes under one parent, in the manner of Celery's ``AsyncResult``."""

import reprlib
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, overload
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import Exists

import django_tasktree
from django_tasktree.client.completion_links import completion_path
from django_tasktree.client.control import ControlMixin
from django_tasktree.client.growth import GrowthMixin
from django_tasktree.client.handle_id import handle_id
from django_tasktree.client.paths import checked_path
from django_tasktree.client.stored_value import stored_value
from django_tasktree.client.waiting import Awaited, await_for, wait_for
from django_tasktree.control import operations
from django_tasktree.encoding.references import Reference
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import RunNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import node_at
from django_tasktree.states import NODE_FAILED, NODE_FINAL, RUN_FINAL, NodeState
from django_tasktree.types import R_co

if TYPE_CHECKING:
    from django_tasktree.client.tree_result import TreeResult


class NodeGroup:
    """The nodes directly under a run or a node, in the manner of Celery's ``ResultSet``.

    It can be iterated, and has a length.

    Attributes:
        run_id: the ID of the run.
        parent_id: the ID of the parent; None for the root nodes.
    """

    def __init__(self, run_id: UUID | str, parent_id: UUID | str | None) -> None:
        self.run_id = handle_id(run_id)
        self.parent_id = None if parent_id is None else handle_id(parent_id)

    @property
    def children(self) -> list["NodeResult[Any]"]:
        """The handles of the nodes, in order."""
        return [NodeResult(row.id, row) for row in self._rows()]

    def __len__(self) -> int:
        if self.parent_id is None:
            return NodeRun.objects.root_count(self.run_id)
        parent = NodeRun.objects.filter(id=self.parent_id, run_id=self.run_id)
        return parent.values_list("child_count", flat=True).first() or 0

    def __bool__(self) -> bool:
        return bool(self._nodes().exists())

    def __iter__(self) -> Iterator["NodeResult[Any]"]:
        return iter(self.children)

    def join(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Wait until the nodes have finished, and return their results in order.

        Only these nodes are waited for, not the nodes below them.

        Args:
            timeout: maximum waiting time in seconds; None waits without a limit.
            propagate: whether to raise an exception if a node failed or was not run. If false, the list contains the
                exception of a failed node, and None for a node that was not run.

        Returns:
            The results; ``[]`` if there are no nodes.

        Raises:
            WaitTimeout: the nodes had not finished in time. The run continues.
            NodeNotRun: a node was skipped, revoked or not reached.
            RunNotFound: there is no such run.
            RuntimeError: called inside a task, which Celery forbids (see ``celery.result.allow_join_result``).
            Exception: the exception of a task that failed, with the worker's traceback as its cause.
        """
        wait_for(self._finished(propagate), timeout)
        return [_value_of(row, propagate) for row in self._rows()]

    async def ajoin(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Like :meth:`join`, without blocking the event loop."""
        await await_for(self._finished(propagate), timeout)
        return await sync_to_async(lambda: [_value_of(row, propagate) for row in self._rows()])()

    def _nodes(self) -> Any:
        return NodeRun.objects.under(self.run_id, self.parent_id)

    def _rows(self) -> Any:
        return self._nodes().in_order()

    def _described(self) -> str:
        return f"run {self.run_id}" if self.parent_id is None else f"the nodes under {self.parent_id}"

    def _finished(self, propagate: bool) -> Awaited[bool]:
        """Return what to wait for: the run has ended, all nodes have finished, or a failure is to be raised."""
        unfinished = self._nodes().filter(settled=False).exclude(state__in=NODE_FINAL)
        failures = NodeRun.objects.filter(run_id=self.run_id, state=NodeState.FAILURE)
        run = TreeRun.objects.filter(id=self.run_id).values_list("state", Exists(unfinished), Exists(failures))

        def look() -> bool | None:
            row = run.first()
            if row is None:
                raise RunNotFound.of_run(self.run_id)
            state, is_unfinished, has_failures = row
            if state in RUN_FINAL or not is_unfinished:
                return True
            return (propagate and has_failures and self._nodes().filter(state=NodeState.FAILURE).exists()) or None

        return Awaited(look, self._described(), lambda: self.run_id)


class NodeResult(ControlMixin, GrowthMixin, Generic[R_co]):
    """The :term:`handle` of a :term:`node`. ``NodeResult(node_id)`` makes one in any process, at any time.

    Args:
        id: the ID of the ``NodeRun``.
        row: its row, if it was read already.

    Attributes:
        id: the ID of the ``NodeRun``.

    Raises:
        ValueError: the ID is not a UUID.
    """

    def __init__(self, id: UUID | str, row: NodeRun | None = None) -> None:  # noqa: A002  AsyncResult's word
        self.id = handle_id(id)
        self._row = row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    @property
    def node(self) -> NodeRun:
        """The row of the node, which is read each time until the node has finished.

        If the node may have been run again since, make a new handle.

        Raises:
            RunNotFound: there is no such node.
        """
        if self._row is None or not self._row.is_over:
            return self._read()
        return self._row

    def _read(self) -> NodeRun:
        """Read the row, even if the node had finished: it may have been run again.

        Raises:
            RunNotFound: there is no such node.
        """
        row: NodeRun | None = NodeRun.objects.filter(id=self.id).first()
        if row is None:
            raise RunNotFound.of_node(self.id)
        self._row = row
        return row

    @property
    def sub_run(self) -> "TreeResult | None":
        """The handle of the :term:`sub-run` that the last attempt at the node has started; None if there is none.

        It is read each time.

        Raises:
            RunNotFound: there is no such node.
        """
        key = self._read().sub_run_id
        return None if key is None else django_tasktree.TreeResult(key)

    @property
    def output(self) -> Reference:
        """A reference to the result, as an argument of a node that is added to the run once this one has succeeded."""
        return Reference(self.id, "output")

    def rerun(self, *, by: Any = None) -> Effect:
        """Run the node again (:term:`rerun`), with its subtree and the gather nodes that wait for it.

        The node may have succeeded. Nodes that task functions had added there are removed; the task functions may add
        them again.

        Args:
            by: the user, or a text that names the program or person.

        Returns:
            The number of nodes that run again, of those that were removed, and of successful nodes that are unchanged.

        Raises:
            NotPossible: the node has not run, or tasks are running among the nodes that depend on it.
        """
        self._row = None
        return operations.rerun(self._target()[0], self.id, by)

    def complete(self, result: Any = None, *, by: Any = None) -> Effect:
        """Give the node a result, as if its task had succeeded (:term:`complete`).

        The node waits for a worker, or has failed or was revoked; or it is a :term:`wait node` that has been reached.

        Example::

            run[approval].complete({"approved": True}, by=request.user)

        Args:
            result: the result of the node; for a wait node, the payload that its form or its parameters validate.
            by: the user, or a text that names the program or person.

        Returns:
            The number of nodes that run again because of it, and of successful nodes that are unchanged.

        Raises:
            NotPossible: the node has succeeded, was skipped, is running, or has not been reached.
            InvalidParameter: the node is a wait node, and the payload does not fit its form or its parameters.
            SerializationError: the result can't be stored, or is larger than ``TASKTREE["MAX_RESULT_SIZE"]``.
        """
        self._row = None
        return operations.complete(self._target()[0], self.id, result, by)

    def completion_url(self, request: Any = None) -> str:
        """Return a signed link to a page that completes this :term:`wait node`, for people without an account.

        The page shows the form of the node, if it has one. The link is valid as long as the node waits, and at most
        ``TASKTREE["COMPLETION_LINK_MAX_AGE"]`` seconds. It needs ``django_tasktree.urls`` in the project's URLs.

        Args:
            request: a request, for a complete URL; None returns the path.

        Raises:
            NotPossible: the node does not wait, or the setting ``COMPLETION_LINKS`` is off.
            ImproperlyConfigured: ``django_tasktree.urls`` is not in the URLs.
        """
        path = completion_path(self._read())
        return path if request is None else str(request.build_absolute_uri(path))

    async def arerun(self, *, by: Any = None) -> Effect:
        """Like :meth:`rerun`, without blocking the event loop."""
        return await sync_to_async(self.rerun)(by=by)

    async def acomplete(self, result: Any = None, *, by: Any = None) -> Effect:
        """Like :meth:`complete`, without blocking the event loop."""
        return await sync_to_async(self.complete)(result, by=by)

    def _target(self) -> tuple[UUID, UUID | None]:
        return operations.run_of(self.id), self.id

    def _handle(self, node_id: UUID) -> "NodeResult[Any]":
        return NodeResult(node_id)

    @property
    def run(self) -> "TreeResult":
        """The handle of the run."""
        # The module of TreeResult imports this one, so use the public name, which loads when it is needed.
        return django_tasktree.TreeResult(self.node.run_id)

    @property
    def name(self) -> str:
        """The registered name of the task."""
        return self.node.task

    @property
    def label(self) -> str | None:
        """The name of the node among its siblings; None if it has none."""
        return self.node.label

    @property
    def task_id(self) -> str:
        """Celery's task ID of the last attempt."""
        return str(self.node.task_id)

    @property
    def state(self) -> str:
        """The current state of the node."""
        return self.node.state

    @property
    def traceback(self) -> str | None:
        """The traceback of the failure; None if there is none."""
        return self.node.traceback or None

    @property
    def result(self) -> Any:
        """The result, or the exception of a failure; None if there is neither."""
        return _value_of(self.node, propagate=False)

    @property
    def parent(self) -> "NodeResult[Any] | None":
        """The handle of the parent; None for a root node."""
        parent_id = self.node.parent_id
        return None if parent_id is None else NodeResult(parent_id)

    @property
    def async_result(self) -> NodeGroup:
        """The children of the node, as a group that can be joined."""
        return NodeGroup(self.node.run_id, self.id)

    @property
    def children(self) -> list["NodeResult[Any]"]:
        """The handles of the children, in order."""
        return self.async_result.children

    def __getitem__(self, path: str) -> "NodeResult[Any]":
        """Return the handle of a node below this one.

        Args:
            path: its labels or positions, from a child of this node down, as in :class:`TreeResult`.

        Raises:
            NodeNotFound: there is no node at this path.
            TypeError: it is not a text.
            ValueError: it has an empty step.
        """
        if not isinstance(path, str):
            raise TypeError(
                f"the key of a NodeResult must be a path of labels, such as 'check', not {reprlib.repr(path)}: use "
                ".children for a list of its children"
            )
        return NodeResult(node_at(checked_path(self, path), self.node.run_id, self.id))

    def ready(self) -> bool:
        """Return whether the node has :term:`finished`: SUCCESS, FAILURE, REVOKED or SKIPPED."""
        return self.state in NODE_FINAL

    def successful(self) -> bool:
        """Return whether the node succeeded."""
        return self.state == NodeState.SUCCESS

    def failed(self) -> bool:
        """Return whether the node failed or was revoked."""
        return self.state in NODE_FAILED

    @overload
    def get(self, timeout: float | None = None, propagate: Literal[True] = True) -> R_co: ...
    @overload
    def get(self, timeout: float | None = None, propagate: bool = True) -> R_co | Exception | None: ...
    def get(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Wait until the node has finished, and return its result.

        If the result is an object with a ``__dict__``, its attribute ``async_result`` is set to the group of the
        node's children.

        Args:
            timeout: maximum waiting time in seconds; None waits without a limit.
            propagate: whether to raise an exception if the node failed or was not run. If false, the exception of a
                failed node is returned, and None if the node was not run.

        Raises:
            WaitTimeout: the node had not finished in time. The run continues.
            NodeNotRun: the node was skipped, revoked, or not reached before the run ended.
            RunNotFound: there is no such node.
            RuntimeError: called inside a task, which Celery forbids (see ``celery.result.allow_join_result``).
            Exception: the exception of the task, with the worker's traceback as its cause.
        """
        wait_for(self._finished(), timeout)
        return _value_of(self._read(), propagate)

    @overload
    def wait(self, timeout: float | None = None, propagate: Literal[True] = True) -> R_co: ...
    @overload
    def wait(self, timeout: float | None = None, propagate: bool = True) -> R_co | Exception | None: ...
    def wait(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Wait for the node and return its result; the same as :meth:`get`, as in Celery."""
        return self.get(timeout, propagate)

    @overload
    async def aget(self, timeout: float | None = None, propagate: Literal[True] = True) -> R_co: ...
    @overload
    async def aget(self, timeout: float | None = None, propagate: bool = True) -> R_co | Exception | None: ...
    async def aget(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Like :meth:`get`, without blocking the event loop."""
        await await_for(self._finished(), timeout)
        return await sync_to_async(lambda: _value_of(self._read(), propagate))()

    def _finished(self) -> Awaited[bool]:
        """Return what to wait for: the node has finished, or its run has ended."""
        columns = NodeRun.objects.filter(id=self.id).values_list("state", "run__state", "run_id")
        run_id: UUID | None = None

        def look() -> bool | None:
            nonlocal run_id
            row = columns.first()
            if row is None:
                raise RunNotFound.of_node(self.id)
            state, run_state, run_id = row
            return (state in NODE_FINAL or run_state in RUN_FINAL) or None

        return Awaited(look, f"node {self.id}", lambda: run_id)


def _value_of(row: NodeRun, propagate: bool) -> Any:
    """Return the result of a node, with the children of the node as its attribute ``async_result`` if it can have one.

    Args:
        row: the row of the node.
        propagate: see :func:`stored_value`.
    """
    value = stored_value(row, propagate)
    # Don't set attributes of classes and enum members: the whole process shares them.
    if row.state == NodeState.SUCCESS and hasattr(value, "__dict__") and not isinstance(value, (type, Enum)):
        value.async_result = NodeGroup(row.run_id, row.id)
    return value
