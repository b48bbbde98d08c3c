"""The actions that handles of runs and handles of nodes have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_tasktree.builder.nodes import NodeWithOutput, TaskTreeNode
from django_tasktree.control import actions, operations
from django_tasktree.encoding.items import Item
from django_tasktree.engine.types import Effect
from django_tasktree.types import GatherOptions, MapOptions, NodeOptions, R, TaskLike

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from django_tasktree.client.node_result import NodeResult


class ControlMixin:
    """The actions on a run, or on a node with its subtree.

    ``by`` is the user, or a text that names the program or person. The history of the run records it.
    """

    def _target(self) -> tuple[UUID, UUID | None]:
        """Return the ID of the run, and that of the node in it (None for the run as a whole)."""
        raise NotImplementedError

    def _handle(self, node_id: UUID) -> "NodeResult[Any]":
        """Return the handle of another node."""
        raise NotImplementedError

    def pause(self, *, by: Any = None) -> Effect:
        """Start no new tasks of the run or subtree; running tasks may finish. A subtree gets a :term:`hold`.

        Returns:
            The number of nodes that are held back (of a subtree only), and of tasks that are running.

        Raises:
            NotPossible: the run is not in the state STARTED. For a node: the run is a draft, or another action on it is
                being carried out.
        """
        return operations.pause(*self._target(), by)

    def resume(self, *, by: Any = None) -> Effect:
        """Continue the run or subtree after a pause.

        Raises:
            NotPossible: the run is not paused. For a node: the run is a draft, or another action on it is being carried
                out.
        """
        return operations.resume(*self._target(), by)

    def revoke(self, *, terminate: bool = False, by: Any = None) -> Effect:
        """Cancel all nodes that have not started (:term:`revoke`). Revoking a run ends it at once.

        Args:
            terminate: also stop running tasks with Celery's ``revoke(terminate=True)``, which only its prefork pool
                supports.
            by: the user, or a text that names the program or person.

        Returns:
            The number of nodes that were revoked, and of tasks that are running.

        Raises:
            NotPossible: the run has ended. For a node: the run is a draft, or another action on it is being carried
                out.
        """
        return operations.revoke(*self._target(), by, terminate=terminate)

    def retry(self, *, by: Any = None) -> Effect:
        """Run failed and revoked nodes again (:term:`retry`), and those :term:`not reached` because of them.

        Successful nodes keep their results.

        Returns:
            The number of nodes that run again, and of successful nodes that are unchanged.

        Raises:
            NotPossible: nothing has failed or was revoked.
        """
        return operations.retry(*self._target(), by)

    def preview(self, action: str, **options: Any) -> Effect:
        """Return what an :term:`action` would do now, without changing anything.

        Example::

            run.preview("revoke").revoked  # the number of nodes that revoke() would cancel now

        Args:
            action: the name of a method: ``"pause"``, ``"resume"``, ``"revoke"``, ``"retry"``, …
            **options: the arguments of the method; they do not change the numbers.

        Raises:
            NotPossible: the action itself would raise it.
            ValueError: there is no such action on runs, or on nodes.
            TypeError: the method does not take one of the options.
        """
        run_id, node_id = self._target()
        actions.find_action(action, on_nodes=node_id is not None)
        actions.check_options(getattr(type(self), action), options)
        return actions.preview(action, run_id, node_id)

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

    def _add(self, by: Any, build: Callable[[NodeWithOutput[Any]], TaskTreeNode[R]]) -> "NodeResult[R]":
        run_id, node_id = self._target()
        built: NodeWithOutput[Any] = NodeWithOutput()
        node = build(built)
        return self._handle(operations.add_nodes(run_id, built, node_id, by)[node])

    async def apause(self, *, by: Any = None) -> Effect:
        """Like :meth:`pause`, without blocking the event loop."""
        return await sync_to_async(self.pause)(by=by)

    async def aresume(self, *, by: Any = None) -> Effect:
        """Like :meth:`resume`, without blocking the event loop."""
        return await sync_to_async(self.resume)(by=by)

    async def arevoke(self, *, terminate: bool = False, by: Any = None) -> Effect:
        """Like :meth:`revoke`, without blocking the event loop."""
        return await sync_to_async(self.revoke)(terminate=terminate, by=by)

    async def aretry(self, *, by: Any = None) -> Effect:
        """Like :meth:`retry`, without blocking the event loop."""
        return await sync_to_async(self.retry)(by=by)

    async def apreview(self, action: str, **options: Any) -> Effect:
        """Like :meth:`preview`, without blocking the event loop."""
        return await sync_to_async(self.preview)(action, **options)

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
