"""The actions that handles of runs and handles of nodes have in common."""

from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_tasktree.control import actions, operations
from django_tasktree.engine.types import Effect


class ControlMixin:
    """The actions on a run, or on a node with its subtree.

    ``by`` is the user, or a text that names the program or person. The history of the run records it.
    """

    def _target(self) -> tuple[UUID, UUID | None]:
        """Return the ID of the run, and that of the node in it (None for the run as a whole)."""
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
