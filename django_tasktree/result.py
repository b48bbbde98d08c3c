"""Handles of runs and nodes, in the manner of Celery's ``AsyncResult``."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from enum import Enum
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from celery import result as celery_result
from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.db.models import Exists

from django_tasktree import serialization, steering
from django_tasktree.engine.specs import Effect, NodeError
from django_tasktree.exceptions import NodeNotRun, RunNotFound
from django_tasktree.failures import rebuild
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from django_tasktree.progress import Progress, progress_of
from django_tasktree.references import Reference
from django_tasktree.states import NODE_FAILED, NODE_FINAL, RUN_FINAL, NodeState, RunState
from django_tasktree.steerable import Steerable
from django_tasktree.waiting import await_for, wait_for


def _not_started(*_: Any) -> Any:
    raise ImproperlyConfigured("copying a run needs 'django_tasktree' in INSTALLED_APPS, and django.setup()")


#: Copies a run. Set by the app's start-up: definitions stand above the handles.
copy_run: Callable[..., Any] = _not_started


def _as_uuid(value: UUID | str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise ValueError(
            f"{value!r} is not the ID of a run or a node, which is a UUID: see result.id, or `manage.py tasktree list`"
        ) from None


class NodeFamily:
    """The nodes directly under a run or a node: the result of a group of siblings.

    Attributes:
        run_id: the run's key.
        parent_id: the parent's key; None for the root nodes.
    """

    def __init__(self, run_id: UUID | str, parent_id: UUID | str | None) -> None:
        self.run_id = _as_uuid(run_id)
        self.parent_id = None if parent_id is None else _as_uuid(parent_id)

    @property
    def children(self) -> list["NodeResult"]:
        """A handle of each node, in order."""
        return [NodeResult(row.id, row) for row in self._rows()]

    def __len__(self) -> int:
        return int(self._nodes().count())

    def __bool__(self) -> bool:
        return bool(self._nodes().exists())

    def __iter__(self) -> Iterator["NodeResult"]:
        return iter(self.children)

    def join(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Wait for the nodes and give their results, in order. An empty tree gives ``[]``.

        Args:
            timeout: seconds; None waits for ever.
            propagate: raise the first failure; else its exception stands in the list, and None for a node that was
                not run.

        Raises:
            WaitTimeout: they had not ended in time.
            NodeNotRun: one was skipped, revoked or not reached.
            Exception: the task's own, with the worker's traceback as its cause.
        """
        _forbid_blocking()
        wait_for(self._look(propagate), timeout, self._described())
        return [value_of(row, propagate) for row in self._rows()]

    async def ajoin(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Like :meth:`join`, without blocking the event loop."""
        await await_for(self._look(propagate), timeout, self._described())
        return await sync_to_async(lambda: [value_of(row, propagate) for row in self._rows()])()

    def _nodes(self) -> Any:
        return NodeRun.objects.under(self.run_id, self.parent_id)

    def _rows(self) -> Any:
        return self._nodes().in_order()

    def _described(self) -> str:
        return f"run {self.run_id}" if self.parent_id is None else f"the nodes under {self.parent_id}"

    def _look(self, propagate: bool) -> Callable[[], bool | None]:
        """Look whether the run is over, all nodes have ended, or one has failed that is to be raised."""
        unfinished = self._nodes().filter(settled=False).exclude(state__in=NODE_FINAL)
        failures = NodeRun.objects.filter(run_id=self.run_id, state=NodeState.FAILURE)
        run = TreeRun.objects.filter(id=self.run_id).values_list("state", Exists(unfinished), Exists(failures))

        def look() -> bool | None:
            row = run.first()
            if row is None:
                raise RunNotFound(f"no run {self.run_id}: was its launch rolled back, or has it been purged?")
            state, is_unfinished, has_failures = row
            if state in RUN_FINAL or not is_unfinished:
                return True
            return (propagate and has_failures and self._nodes().filter(state=NodeState.FAILURE).exists()) or None

        return look


class TreeResult(Steerable, NodeFamily):
    """A run: ``TreeResult(run_id)`` works from anywhere, later too.

    Attributes:
        id: the key of the ``TreeRun``.
    """

    def __init__(self, id: UUID | str, keys: Mapping[Hashable, UUID] | None = None) -> None:  # noqa: A002  AsyncResult's word
        super().__init__(id, None)
        self.id = self.run_id
        self._keys = keys or {}

    def __getitem__(self, built: Hashable) -> "NodeResult":
        """Give the handle of the node that was built (in the process that launched the tree), or by position."""
        if isinstance(built, int):
            return self.children[built]
        if built not in self._keys:
            raise KeyError(f"{built!r} is no node of the tree that this handle was launched from")
        return NodeResult(self._keys[built])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    @property
    def run(self) -> TreeRun:
        """The run's row, read anew.

        Raises:
            RunNotFound: there is none.
        """
        run: TreeRun | None = TreeRun.objects.filter(id=self.id).first()
        if run is None:
            raise RunNotFound(f"no run {self.id}: was its launch rolled back, or has it been purged?")
        return run

    @property
    def state(self) -> str:
        """The run's state now."""
        return self.run.state

    @property
    def history(self) -> list[HistoryEntry]:
        """What was asked of the run and its nodes: the action, who asked and when, the oldest first."""
        return list(HistoryEntry.objects.using(router.db_for_write(HistoryEntry)).filter(run_id=self.id).order_by("id"))

    def launch(self, *, by: Any = None) -> Effect:
        """Launch a draft, also one whose time has not come yet.

        Raises:
            NotPossible: the run has been launched already.
        """
        return steering.launch_draft(self.id, by)

    def retry(self, *, from_node: Any = None, by: Any = None) -> Effect:
        """Run again what failed or was revoked, and what was not reached because of it; what succeeded stays.

        Args:
            from_node: run this node again instead, even if it succeeded, with all that depends on it: a
                :class:`NodeResult`, or a node that was built.
            by: who asks.

        Raises:
            NotPossible: nothing has failed; ``from_node`` has not run, or bodies run among what depends on it.
        """
        if from_node is None:
            return super().retry(by=by)
        node = from_node if isinstance(from_node, NodeResult) else self[from_node]
        return node.rerun(by=by)

    def preview(self, verb: str, *, from_node: Any = None, **options: Any) -> Effect:
        """See :meth:`NodeResult.preview`; ``from_node`` is that of :meth:`retry`."""
        if verb == "retry" and from_node is not None:
            node = from_node if isinstance(from_node, NodeResult) else self[from_node]
            return node.preview("rerun")
        return super().preview(verb, **options)

    def copy(self, *, by: Any = None, **params: Any) -> "TreeResult":
        """Launch the run once more, as a new run.

        A run of a definition is built anew by it; of any other its nodes are copied, without those that bodies added.

        Args:
            by: the user who launches it.
            **params: parameters of the definition that are to have other values.

        Raises:
            NotPossible: parameters were given, but the run has no definition.
            UnknownDefinition, InvalidParameter: see :func:`django_tasktree.launching.launch_definition`.
        """
        copied: TreeResult = copy_run(self.run, params, by)
        return copied

    def _target(self) -> tuple[UUID, UUID | None]:
        return self.id, None

    def _handle(self, node_id: UUID) -> "NodeResult":
        return NodeResult(node_id)

    def ready(self) -> bool:
        """Tell whether the run has ended."""
        return self.state in RUN_FINAL

    def successful(self) -> bool:
        """Tell whether the run has ended and nothing failed."""
        return self.state == RunState.SUCCESS

    def failed(self) -> bool:
        """Tell whether the run has ended and something failed."""
        return self.state == RunState.FAILURE

    def progress(self) -> Progress:
        """Count the nodes by state."""
        return progress_of(self.run)

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the whole run has ended.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            The run's final state.

        Raises:
            WaitTimeout: it had not ended in time.
        """
        _forbid_blocking()
        return wait_for(self._look_for_end(), timeout, self._described())

    async def await_end(self, timeout: float | None = None) -> str:
        """Like :meth:`wait`, without blocking the event loop."""
        return await await_for(self._look_for_end(), timeout, self._described())

    def get(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Like :meth:`join`."""
        return self.join(timeout, propagate)

    async def aget(self, timeout: float | None = None, propagate: bool = True) -> list[Any]:
        """Like :meth:`ajoin`."""
        return await self.ajoin(timeout, propagate)

    def _look_for_end(self) -> Callable[[], str | None]:
        states = TreeRun.objects.filter(id=self.id).values_list("state", flat=True)

        def look() -> str | None:
            state = states.first()
            if state is None:
                raise RunNotFound(f"no run {self.id}: was its launch rolled back, or has it been purged?")
            return state if state in RUN_FINAL else None

        return look


class NodeResult(Steerable):
    """A node of a run.

    Attributes:
        id: the key of the ``NodeRun``.
    """

    def __init__(self, id: UUID | str, row: NodeRun | None = None) -> None:  # noqa: A002  AsyncResult's word
        self.id = _as_uuid(id)
        self._row = row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    @property
    def node(self) -> NodeRun:
        """The node's row; read anew until the node has ended."""
        if self._row is None or not self._row.is_over:
            return self._read()
        return self._row

    def _read(self) -> NodeRun:
        """Read the row: even what has ended may have been run again."""
        self._row = NodeRun.objects.get(id=self.id)
        return self._row

    @property
    def output(self) -> Reference:
        """The node's result, to be given to a node that is added to the run from outside, once this has succeeded."""
        return Reference(self.id, "output")

    def rerun(self, *, by: Any = None) -> Effect:
        """Run the node again, even if it succeeded, with all below it and the gather nodes that wait for it.

        Nodes that bodies had added there are removed: the bodies will add them again.

        Raises:
            NotPossible: it has not run, or bodies run among what depends on it.
        """
        self._row = None
        return steering.rerun(self._target()[0], self.id, by)

    def skip(self, result: Any = None, *, by: Any = None) -> Effect:
        """Let a node that waits for a worker, or that failed or was revoked, count as if it had succeeded.

        Args:
            result: the result that it should have had.
            by: who asks.

        Raises:
            NotPossible: it has succeeded, is running, or has not been reached.
            SerializationError: the result can't be stored.
        """
        self._row = None
        return steering.skip(self._target()[0], self.id, result, by)

    def _target(self) -> tuple[UUID, UUID | None]:
        return steering.run_of(self.id), self.id

    def _handle(self, node_id: UUID) -> "NodeResult":
        return NodeResult(node_id)

    @property
    def run(self) -> TreeResult:
        """The handle of the run."""
        return TreeResult(self.node.run_id)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.node.task

    @property
    def task_id(self) -> str:
        """The task id of the last attempt, by which Celery knows it."""
        return str(self.node.task_id)

    @property
    def state(self) -> str:
        """The node's state now."""
        return self.node.state

    @property
    def traceback(self) -> str | None:
        """The traceback of its failure."""
        return self.node.traceback or None

    @property
    def result(self) -> Any:
        """The result, or the exception of a failure; None as long as there is neither."""
        return value_of(self.node, propagate=False)

    @property
    def parent(self) -> "NodeResult | None":
        """The handle of the parent; None for a root node."""
        parent_id = self.node.parent_id
        return None if parent_id is None else NodeResult(parent_id)

    @property
    def async_result(self) -> NodeFamily:
        """The result of the node's children."""
        return NodeFamily(self.node.run_id, self.id)

    @property
    def children(self) -> list["NodeResult"]:
        """A handle of each child, in order."""
        return self.async_result.children

    def ready(self) -> bool:
        """Tell whether the node has ended."""
        return self.state in NODE_FINAL

    def successful(self) -> bool:
        """Tell whether the node succeeded."""
        return self.state == NodeState.SUCCESS

    def failed(self) -> bool:
        """Tell whether the node failed."""
        return self.state in NODE_FAILED

    def get(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Wait for the node and give its result.

        An object that takes attributes bears its children's result as ``async_result``.

        Args:
            timeout: seconds; None waits for ever.
            propagate: raise a failure; else its exception is returned, and None for a node that was not run.

        Raises:
            WaitTimeout: it had not ended in time.
            NodeNotRun: it was skipped, revoked, or not reached before the run ended.
            Exception: the task's own, with the worker's traceback as its cause.
        """
        _forbid_blocking()
        wait_for(self._ended, timeout, f"node {self.id}")
        return value_of(self._read(), propagate)

    def wait(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Like :meth:`get`, as in Celery."""
        return self.get(timeout, propagate)

    async def aget(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Like :meth:`get`, without blocking the event loop."""
        await await_for(self._ended, timeout, f"node {self.id}")
        return await sync_to_async(lambda: value_of(self._read(), propagate))()

    def _ended(self) -> bool | None:
        row = NodeRun.objects.filter(id=self.id).values_list("state", "run__state").first()
        if row is None:
            raise RunNotFound(f"no node {self.id}: was its launch rolled back, or has its run been purged?")
        return (row[0] in NODE_FINAL or row[1] in RUN_FINAL) or None


def join_tree(async_result: TreeResult | NodeFamily, timeout: float | None = None) -> list[Any]:
    """Join the first root node, its first child, that one's first child and so on: the results of pushed tasks.

    Args:
        async_result: what ``TaskTree.apply_async`` returned.
        timeout: seconds for each node; None waits for ever.

    Returns:
        The results in order; ``[]`` of an empty tree.
    """
    results = []
    family: NodeFamily = async_result
    while (row := family._rows().first()) is not None:
        node = NodeResult(row.id)
        results.append(node.get(timeout))
        family = node.async_result
    return results


def value_of(row: NodeRun, propagate: bool) -> Any:
    """Give a node's result, or raise (or give) its failure."""
    if row.state == NodeState.SUCCESS:
        value = serialization.read(row.result) if row.result is not None else None
        return _with_children(value, row)
    if row.state == NodeState.FAILURE:
        exc = rebuild(NodeError(row.error_type, row.error_message, row.error_args, row.traceback))
        if propagate:
            raise exc
        return exc
    if propagate:
        why = f": {row.error_message}" if row.error_message else ""
        raise NodeNotRun(f"node {row.id} ({row.task}) has no result, its state is {row.state}{why}")
    return None


def _with_children(value: Any, row: NodeRun) -> Any:
    # Classes and members of enumerations are shared by the whole process.
    if hasattr(value, "__dict__") and not isinstance(value, (type, Enum)):
        value.async_result = NodeFamily(row.run_id, row.id)
    return value


def _forbid_blocking() -> None:
    """Celery's own rule: waiting for a task inside a task may exhaust the pool (``allow_join_result`` lifts it)."""
    celery_result.assert_will_not_block()  # type: ignore[attr-defined]
