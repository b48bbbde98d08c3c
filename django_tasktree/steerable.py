"""The verbs that the handles of runs and of nodes have in common."""

from collections.abc import Callable, Hashable
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_tasktree import steering
from django_tasktree.engine.specs import Effect
from django_tasktree.nodes import NodeWithOutput


class Steerable:
    """What a run, and a node with all below it, can be asked for.

    ``by`` is the user who asks, or a text that names what does; it stands in the run's history.
    """

    def _target(self) -> tuple[UUID, UUID | None]:
        """The run, and the node in it."""
        raise NotImplementedError

    def _handle(self, node_id: UUID) -> Any:
        """The handle of another node."""
        raise NotImplementedError

    def pause(self, *, by: Any = None) -> Effect:
        """Let nothing new start; bodies that run may end.

        Raises:
            NotPossible: the run is not going.
        """
        return steering.pause(*self._target(), by)

    def resume(self, *, by: Any = None) -> Effect:
        """Go on after a pause.

        Raises:
            NotPossible: the run is not paused.
        """
        return steering.resume(*self._target(), by)

    def revoke(self, *, terminate: bool = False, by: Any = None) -> Effect:
        """Let what has not started never start. A run that is revoked has ended at once.

        Args:
            terminate: also stop bodies that run, through Celery (its prefork pool alone can).
            by: who asks.

        Raises:
            NotPossible: the run has ended.
        """
        return steering.revoke(*self._target(), by, terminate=terminate)

    def retry(self, *, by: Any = None) -> Effect:
        """Run again what failed or was revoked, and what was not reached because of it; what succeeded stays.

        Raises:
            NotPossible: nothing has failed.
        """
        return steering.retry(*self._target(), by)

    def preview(self, verb: str, **options: Any) -> Effect:  # noqa: ARG002  they change no number
        """Find out what a verb would do now, by reading alone.

        Args:
            verb: the name of a method: ``"pause"``, ``"resume"``, ``"revoke"``, ``"retry"``, …
            **options: what the method would be given.

        Raises:
            NotPossible: what the verb would raise.
        """
        return steering.preview(verb, *self._target())

    def add_task(self, task: Any, args: Any = None, kwargs: Any = None, *, by: Any = None, **options: Any) -> Any:
        """Add a task to a run that is going or has ended: below a node, or as a root node.

        Takes what :meth:`django_tasktree.TaskTree.add_task` takes. A run that had ended goes on. What is added below a
        node that has ended starts at once, if its ``run_when`` fits.

        Returns:
            The new node's :class:`django_tasktree.NodeResult`.

        Raises:
            NotPossible: the node was skipped or revoked, so nothing below it would ever run.
        """
        return self._add(by, lambda built: built.add_task(task, args, kwargs, **options))

    def gather(self, task: Any, args: Any = None, kwargs: Any = None, *, by: Any = None, **options: Any) -> Any:
        """Add a gather node, as :meth:`add_task` adds a task."""
        return self._add(by, lambda built: built.gather(task, args, kwargs, **options))

    def _add(self, by: Any, build: Callable[[NodeWithOutput], Hashable]) -> Any:
        run_id, node_id = self._target()
        built = NodeWithOutput()
        node = build(built)
        return self._handle(steering.add_nodes(run_id, built, node_id, by)[node])

    async def apause(self, **options: Any) -> Effect:
        """Like :meth:`pause`, without blocking the event loop."""
        return await sync_to_async(self.pause)(**options)

    async def aresume(self, **options: Any) -> Effect:
        """Like :meth:`resume`, without blocking the event loop."""
        return await sync_to_async(self.resume)(**options)

    async def arevoke(self, **options: Any) -> Effect:
        """Like :meth:`revoke`, without blocking the event loop."""
        return await sync_to_async(self.revoke)(**options)

    async def aretry(self, **options: Any) -> Effect:
        """Like :meth:`retry`, without blocking the event loop."""
        return await sync_to_async(self.retry)(**options)
