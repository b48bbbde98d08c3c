"""Nodes that handles add to a launched run."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_tasktree.builder.nodes import NodeParent, NodeWithOutput, TaskTreeNode
from django_tasktree.control import operations
from django_tasktree.encoding.items import Item
from django_tasktree.types import (
    GatherOptions,
    MapOptions,
    NodeOptions,
    R,
    RunWhenOption,
    TaskLike,
    WaitForOptions,
    WaitOptions,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from django_tasktree.client.node_result import NodeResult


class GrowthMixin:
    """The methods by which a handle of a run, or of a node, adds nodes to the run.

    ``by`` is the user, or a text that names the program or person. The history of the run records it.
    """

    def _target(self) -> tuple[UUID, UUID | None]:
        """Return the ID of the run, and that of the node in it (None for the run as a whole)."""
        raise NotImplementedError

    def _handle(self, node_id: UUID) -> "NodeResult[Any]":
        """Return the handle of another node."""
        raise NotImplementedError

    def add_task(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: Any = None,
        **options: "Unpack[NodeOptions]",
    ) -> "NodeResult[R]":
        """Add a task to a launched run: below this node, or as a root node of this run.

        The arguments are those of :meth:`django_tasktree.TaskTree.add_task`, and ``by``. A run that has ended is
        continued. A task that is added below a finished node starts at once if its ``run_when`` matches the node's
        state.

        Returns:
            The handle of the new node.

        Raises:
            NotPossible: the node was skipped or revoked, so nothing below it would ever run.
        """
        return self._add(by, lambda built: built.add_task(task, args, kwargs, **options))

    def gather(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: Any = None,
        **options: "Unpack[GatherOptions]",
    ) -> "NodeResult[R]":
        """Add a gather node to a launched run: below this node, or directly under this run; see :meth:`add_task`.

        The arguments are those of :meth:`django_tasktree.TaskTree.gather`, and ``by``.
        """
        return self._add(by, lambda built: built.gather(task, args, kwargs, **options))

    def map(
        self,
        task: TaskLike[Any],
        *,
        over: Any,
        args: Sequence[Any] | Item | None = None,
        kwargs: Mapping[str, Any] | Item | None = None,
        by: Any = None,
        **options: "Unpack[MapOptions]",
    ) -> "NodeResult[int]":
        """Add a map node to a launched run: below this node, or directly under this run; see :meth:`add_task`.

        The arguments are those of :meth:`django_tasktree.TaskTree.map`, and ``by``.
        """
        return self._add(by, lambda built: built.map(task, over=over, args=args, kwargs=kwargs, **options))

    def wait_for(self, name: str, *, by: Any = None, **options: "Unpack[WaitForOptions]") -> "NodeResult[Any]":
        """Add a node that waits for an event or a person to a launched run; see :meth:`add_task`.

        The arguments are those of :meth:`django_tasktree.TaskTree.wait_for`, and ``by``.
        """
        return self._add(by, lambda built: built.wait_for(name, **options))

    def sleep(
        self,
        duration: timedelta | None = None,
        *,
        until: datetime | None = None,
        by: Any = None,
        **options: "Unpack[WaitOptions]",
    ) -> "NodeResult[None]":
        """Add a node that waits for a time to a launched run; see :meth:`add_task`.

        The arguments are those of :meth:`django_tasktree.TaskTree.sleep`, and ``by``.
        """
        return self._add(by, lambda built: built.sleep(duration, until=until, **options))

    def add_tree(
        self, tree: NodeParent, *, label: str | None = None, run_when: RunWhenOption = "success", by: Any = None
    ) -> "NodeResult[Any]":
        """Add a copy of a tree to a launched run; see :meth:`add_task`.

        The arguments are those of :meth:`django_tasktree.TaskTree.add_tree`, and ``by``.

        Returns:
            The handle of the node above the nodes of the copy.
        """
        return self._add(by, lambda built: built.add_tree(tree, label=label, run_when=run_when))

    def add_run(
        self,
        definition: Any,
        params: Mapping[str, Any] | None = None,
        *,
        by: Any = None,
        **options: "Unpack[NodeOptions]",
    ) -> "NodeResult[Any]":
        """Add a node that starts a run, and waits for it, to a launched run; see :meth:`add_task`.

        The arguments are those of :meth:`django_tasktree.TaskTree.add_run`, and ``by``.
        """
        return self._add(by, lambda built: built.add_run(definition, params, **options))

    def _add(self, by: Any, build: Callable[[NodeWithOutput[Any]], TaskTreeNode[R]]) -> "NodeResult[R]":
        run_id, node_id = self._target()
        built: NodeWithOutput[Any] = NodeWithOutput()
        node = build(built)
        return self._handle(operations.add_nodes(run_id, built, node_id, by)[node])

    async def aadd_task(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: Any = None,
        **options: "Unpack[NodeOptions]",
    ) -> "NodeResult[R]":
        """Like :meth:`add_task`, without blocking the event loop."""
        return await sync_to_async(self.add_task)(task, args, kwargs, by=by, **options)

    async def agather(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        by: Any = None,
        **options: "Unpack[GatherOptions]",
    ) -> "NodeResult[R]":
        """Like :meth:`gather`, without blocking the event loop."""
        return await sync_to_async(self.gather)(task, args, kwargs, by=by, **options)

    async def amap(
        self,
        task: TaskLike[Any],
        *,
        over: Any,
        args: Sequence[Any] | Item | None = None,
        kwargs: Mapping[str, Any] | Item | None = None,
        by: Any = None,
        **options: "Unpack[MapOptions]",
    ) -> "NodeResult[int]":
        """Like :meth:`map`, without blocking the event loop."""
        return await sync_to_async(self.map)(task, over=over, args=args, kwargs=kwargs, by=by, **options)

    async def await_for(self, name: str, *, by: Any = None, **options: "Unpack[WaitForOptions]") -> "NodeResult[Any]":
        """Like :meth:`wait_for`, without blocking the event loop."""
        return await sync_to_async(self.wait_for)(name, by=by, **options)

    async def asleep(
        self,
        duration: timedelta | None = None,
        *,
        until: datetime | None = None,
        by: Any = None,
        **options: "Unpack[WaitOptions]",
    ) -> "NodeResult[None]":
        """Like :meth:`sleep`, without blocking the event loop."""
        return await sync_to_async(self.sleep)(duration, until=until, by=by, **options)

    async def aadd_tree(
        self, tree: NodeParent, *, label: str | None = None, run_when: RunWhenOption = "success", by: Any = None
    ) -> "NodeResult[Any]":
        """Like :meth:`add_tree`, without blocking the event loop."""
        return await sync_to_async(self.add_tree)(tree, label=label, run_when=run_when, by=by)

    async def aadd_run(
        self,
        definition: Any,
        params: Mapping[str, Any] | None = None,
        *,
        by: Any = None,
        **options: "Unpack[NodeOptions]",
    ) -> "NodeResult[Any]":
        """Like :meth:`add_run`, without blocking the event loop."""
        return await sync_to_async(self.add_run)(definition, params, by=by, **options)
