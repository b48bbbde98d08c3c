"""The handle of a run, in the manner of Celery's ``AsyncResult``."""

import reprlib
from collections.abc import Hashable, Mapping
from typing import Any, overload
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import router

from django_tasktree.builder.nodes import TaskTreeNode, map_above
from django_tasktree.client.control import ControlMixin
from django_tasktree.client.growth import GrowthMixin
from django_tasktree.client.node_result import NodeGroup, NodeResult
from django_tasktree.client.paths import checked_path
from django_tasktree.client.run_value import run_value
from django_tasktree.client.waiting import Awaited, await_for, wait_for
from django_tasktree.control import operations, waits
from django_tasktree.definitions.relaunch import copy_run
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import RunNotFound
from django_tasktree.models import HistoryEntry, TreeRun
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.node_paths import node_at
from django_tasktree.reporting.progress import Progress, progress_of
from django_tasktree.states import RUN_FINAL, RunState
from django_tasktree.types import R


class TreeResult(ControlMixin, GrowthMixin, NodeGroup):
    """The :term:`handle` of a :term:`run`. ``TreeResult(run_id)`` makes one in any process, at any time.

    Indexed by the path of a node, labels with slashes between them, it returns the handle of that node; a node without
    a label has its position among its siblings in the path. Indexed by a position, it returns the handle of that root
    node. Indexed by a node that was built, it returns the handle of that node; this works only with the handle that the
    launch returned.

    Example::

        run = tree.apply_async()
        run.wait(timeout=60)  # "SUCCESS"
        run[node].get()
        TreeResult(run.id)["orders/check"].get()
        TreeResult(run.id).progress()

    Args:
        id: the ID of the ``TreeRun``.
        keys: the IDs of the nodes that were built.

    Attributes:
        id: the ID of the ``TreeRun``.

    Raises:
        ValueError: the ID is not a UUID.
    """

    def __init__(self, id: UUID | str, keys: Mapping[Hashable, UUID] | None = None) -> None:  # noqa: A002  AsyncResult's word
        super().__init__(id, None)
        self.id = self.run_id
        self._keys = keys or {}

    @overload
    def __getitem__(self, built: TaskTreeNode[R]) -> "NodeResult[R]": ...
    @overload
    def __getitem__(self, built: int | str) -> "NodeResult[Any]": ...
    def __getitem__(self, built: TaskTreeNode[Any] | int | str) -> "NodeResult[Any]":
        """Return the handle of a node.

        Args:
            built: a node of the tree that was launched, the path of a node, or the position of a root node.

        Raises:
            NodeNotFound: there is no node at this path.
            KeyError: the node is not part of the tree from whose launch this handle was returned.
            IndexError: there is no root node at this position.
            TypeError: it is neither a node nor a path nor a position.
            ValueError: the path has an empty step.
        """
        if isinstance(built, str):
            return NodeResult(node_at(checked_path(self, built), self.id))
        if isinstance(built, int):
            return self.children[built]
        if not isinstance(built, TaskTreeNode):
            raise TypeError(
                "the key of a TreeResult must be a node, as add_task() returned it, the path of a node, such as "
                f"'load/check', or the position of a root node, not {reprlib.repr(built)}: use .children for a list of "
                "the root nodes, and NodeResult(id) for an ID"
            )
        if built not in self._keys:
            raise KeyError(_without_key(built))
        return NodeResult(self._keys[built])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    @property
    def run(self) -> TreeRun:
        """The row of the run, which is read each time.

        Raises:
            RunNotFound: there is no such run.
        """
        run: TreeRun | None = TreeRun.objects.filter(id=self.id).first()
        if run is None:
            raise RunNotFound.of_run(self.id)
        return run

    @property
    def state(self) -> str:
        """The current state of the run."""
        return self.run.state

    @property
    def parent(self) -> "NodeResult[Any] | None":
        """The handle of the node that has started the run, if it is a :term:`sub-run`; None otherwise.

        Raises:
            RunNotFound: there is no such run.
        """
        key = self.run.parent_node_id
        return None if key is None else NodeResult(key)

    @property
    def history(self) -> list[HistoryEntry]:
        """The :term:`history`: the actions on the run and its nodes, with user and time, oldest first."""
        return list(HistoryEntry.objects.using(router.db_for_write(HistoryEntry)).filter(run_id=self.id).order_by("id"))

    def launch(self, *, by: Any = None) -> Effect:
        """Launch a :term:`draft` now, even if its ``eta`` is in the future.

        Raises:
            NotPossible: the run is not a draft.
        """
        return operations.launch_draft(self.id, by)

    def retry(self, *, from_node: Any = None, by: Any = None) -> Effect:
        """Run failed and revoked nodes again (:term:`retry`), and those :term:`not reached` because of them.

        Successful nodes keep their results.

        Args:
            from_node: run this node again instead, even if it succeeded, with everything that depends on it (see
                :meth:`NodeResult.rerun`): a :class:`NodeResult`, the path of a node, or a node that was built.
            by: the user, or a text that names the program or person.

        Returns:
            The number of nodes that run again, and of successful nodes that are unchanged.

        Raises:
            NotPossible: nothing has failed or was revoked; or ``from_node`` has not run, or tasks are running among the
                nodes that depend on it.
            ValueError: ``from_node`` is the handle of a node of another run.
        """
        if from_node is None:
            return super().retry(by=by)
        return self._node_of_this(from_node).rerun(by=by)

    def preview(self, action: str, *, from_node: Any = None, **options: Any) -> Effect:
        """Return what an :term:`action` would do now, without changing anything.

        Args:
            action: the name of a method: ``"pause"``, ``"revoke"``, ``"retry"``, ``"delete"``, …
            from_node: see :meth:`retry`.
            **options: further arguments of the method; they do not change the numbers.

        Raises:
            NotPossible: the action itself would raise it.
            ValueError: there is no such action on runs, or ``from_node`` is the handle of a node of another run.
            TypeError: the method does not take one of the options.
        """
        if action == "retry" and from_node is not None:
            return self._node_of_this(from_node).preview("rerun", **options)
        return super().preview(action, **options, **({} if from_node is None else {"from_node": from_node}))

    def _node_of_this(self, node: Any) -> "NodeResult[Any]":
        """Return the handle of a node of this run.

        Args:
            node: its handle, its path, or the node that was built.

        Raises:
            ValueError: it is the handle of a node of another run.
            KeyError, TypeError: see :meth:`__getitem__`.
        """
        if not isinstance(node, NodeResult):
            return self[node]
        run_id = operations.run_of(node.id)
        if run_id != self.id:
            raise ValueError(f"node {node.id} belongs to run {run_id}, not to run {self.id}: use its own run's handle")
        return node

    def send_event(self, name: str, payload: Any = None, *, by: Any = None) -> None:
        """Send an event, which ends the first :term:`wait node` of the run that waits for it.

        The event may be sent before the node is reached: it is stored, and taken once, by the first node that waits for
        it. In a transaction, it is sent when the transaction commits.

        Example::

            run.send_event("approved", {"by": 7}, by=request.user)

        Args:
            name: the name of the event, as in ``wait_for(name)``.
            payload: the output of the node.
            by: the user, or a text that names the program or person.

        Raises:
            RunNotFound: there is no such run.
            NotPossible: the run has ended.
            InvalidParameter: the payload does not fit the form or the parameters of the node that waits for it, or will
                wait for it. Nothing is stored.
            InvalidOption: the name is not a text, is empty, or contains a slash.
            SerializationError: the payload can't be stored, or is larger than ``TASKTREE["MAX_RESULT_SIZE"]``.
        """
        waits.send_event(self.id, name, payload, by)

    async def asend_event(self, name: str, payload: Any = None, *, by: Any = None) -> None:
        """Like :meth:`send_event`, without blocking the event loop."""
        await sync_to_async(self.send_event)(name, payload, by=by)

    def copy(self, *, by: Any = None, **params: Any) -> "TreeResult":
        """Launch the same tree once more, as a new run. This run is not changed.

        If the run has a definition, the definition builds the tree again. Otherwise the nodes are copied, without those
        that task functions added.

        Args:
            by: the user who launches it.
            **params: new values for parameters of the definition; the others keep their values.

        Returns:
            The handle of the new run.

        Raises:
            NotPossible: parameters were given, but the run has no definition.
            UnknownDefinition, InvalidParameter: see :func:`django_tasktree.definitions.launch.launch_definition`.
        """
        return TreeResult(copy_run(self.run, params, by))

    def delete(self, *, by: Any = None) -> Effect:  # noqa: ARG002  the history is deleted, too
        """Delete a run that has ended or is a draft, with its nodes, their results, attempts and history.

        Raises:
            NotPossible: the run has not ended, or protected rows of other apps refer to it.
        """
        return operations.delete(self.id)

    async def alaunch(self, *, by: Any = None) -> Effect:
        """Like :meth:`launch`, without blocking the event loop."""
        return await sync_to_async(self.launch)(by=by)

    async def aretry(self, *, from_node: Any = None, by: Any = None) -> Effect:
        """Like :meth:`retry`, without blocking the event loop."""
        return await sync_to_async(self.retry)(from_node=from_node, by=by)

    async def apreview(self, action: str, *, from_node: Any = None, **options: Any) -> Effect:
        """Like :meth:`preview`, without blocking the event loop."""
        return await sync_to_async(self.preview)(action, from_node=from_node, **options)

    async def acopy(self, *, by: Any = None, **params: Any) -> "TreeResult":
        """Like :meth:`copy`, without blocking the event loop."""
        return await sync_to_async(self.copy)(by=by, **params)

    async def adelete(self, *, by: Any = None) -> Effect:
        """Like :meth:`delete`, without blocking the event loop."""
        return await sync_to_async(self.delete)(by=by)

    def _target(self) -> tuple[UUID, UUID | None]:
        return self.id, None

    def _handle(self, node_id: UUID) -> "NodeResult[Any]":
        return NodeResult(node_id)

    def ready(self) -> bool:
        """Return whether the run has ended."""
        return self.state in RUN_FINAL

    def successful(self) -> bool:
        """Return whether the run has ended with SUCCESS."""
        return self.state == RunState.SUCCESS

    def failed(self) -> bool:
        """Return whether the run has ended with FAILURE."""
        return self.state == RunState.FAILURE

    def progress(self, *, fresh: bool = False) -> Progress:
        """Return the number of nodes in each state.

        Args:
            fresh: count the nodes now. Otherwise, if there are more than 10,000 and the run has not ended, the numbers
                may be as old as 20 times the time that counting them takes; see ``counted_at``.
        """
        return progress_of(self.run, Look.FRESH if fresh else Look.EXACT)

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the whole run has ended.

        Args:
            timeout: maximum waiting time in seconds; None waits without a limit.

        Returns:
            The final state of the run.

        Raises:
            WaitTimeout: the run had not ended in time. It continues.
            RunNotFound: there is no such run.
            RuntimeError: called inside a task, which Celery forbids (see ``celery.result.allow_join_result``).
        """
        return wait_for(self._end(), timeout)

    async def await_finished(self, timeout: float | None = None) -> str:
        """Like :meth:`wait`, without blocking the event loop."""
        return await await_for(self._end(), timeout)

    def value(self, timeout: float | None = None) -> Any:
        """Wait until the run has ended, and return its result: what the tree :meth:`returns <TaskTree.returns>`.

        Args:
            timeout: maximum waiting time in seconds; None waits without a limit.

        Raises:
            NoResult: the tree has no result, or the run was revoked or stopped.
            BrokenReference: a node that the result refers to was not run, or its result has no such part.
            RowNotFound: a row of a model in the result does not exist any more.
            WaitTimeout: the run had not ended in time. It continues.
            RunNotFound: there is no such run.
            RuntimeError: called inside a task, which Celery forbids (see ``celery.result.allow_join_result``).
            Exception: the exception of the task that failed first.
        """
        self.wait(timeout)
        return run_value(self.run)

    async def avalue(self, timeout: float | None = None) -> Any:
        """Like :meth:`value`, without blocking the event loop."""
        await self.await_finished(timeout)
        return await sync_to_async(lambda: run_value(self.run))()

    def get(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Wait for the root nodes and return their results; the same as :meth:`join`."""
        return self.join(timeout, propagate)

    async def aget(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Like :meth:`get`, without blocking the event loop."""
        return await self.ajoin(timeout, propagate)

    def _end(self) -> Awaited[str]:
        states = TreeRun.objects.filter(id=self.id).values_list("state", flat=True)

        def look() -> str | None:
            state = states.first()
            if state is None:
                raise RunNotFound.of_run(self.id)
            return state if state in RUN_FINAL else None

        return Awaited(look, self._described(), lambda: self.id, is_run=True)


def join_tree(async_result: TreeResult | NodeGroup, timeout: float | None = None) -> list[Any]:
    """Wait for the first root node, its first child, the first child of that, and so on, and return their results.

    These are the results of tasks that were added with ``push()``.

    Args:
        async_result: the handle that ``TaskTree.apply_async`` returned, or the ``async_result`` of a node.
        timeout: maximum waiting time for each node in seconds; None waits without a limit.

    Returns:
        The results in order; ``[]`` for an empty tree.

    Raises:
        WaitTimeout, NodeNotRun, Exception: see :meth:`django_tasktree.NodeResult.get`.
        TypeError: it is not such a handle.
    """
    if not isinstance(async_result, NodeGroup):
        raise TypeError(
            "join_tree() takes the handle of a run, as TaskTree.apply_async() returns it, or the async_result of a "
            f"node, not {reprlib.repr(async_result)}"
        )
    results = []
    family: NodeGroup = async_result
    while (row := family._rows().first()) is not None:
        node = NodeResult(row.id)
        results.append(node.get(timeout))
        family = node.async_result
    return results


def _without_key(built: TaskTreeNode[Any]) -> str:
    """Explain why a handle does not find a node that was built."""
    if map_above(built) is not None:
        return (
            f"{built!r} runs for each item of a map: its nodes are below the children of the map, which are "
            "run[pages].children, or run['pages/0'] if the map has the label 'pages'"
        )
    return f"{built!r} is no node of the tree that this handle was launched from"
