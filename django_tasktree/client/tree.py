"""The class ``TaskTree``, which users build and launch."""

import reprlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_tasktree.builder.schedule import end_time, start_time
from django_tasktree.builder.tree import Tree
from django_tasktree.client.handle_id import handle_id
from django_tasktree.client.tree_result import TreeResult, join_tree
from django_tasktree.dispatch.launch import launch_tree
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.history import is_user
from django_tasktree.engine.types import RunSpec
from django_tasktree.exceptions import InvalidOption
from django_tasktree.states import OnFailure
from django_tasktree.types import LaunchOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


class TaskTree(Tree):
    """A :term:`tree` of Celery tasks. It is a plain Python object; each :term:`launch` makes a new :term:`run` of it.

    Example::

        tree = TaskTree("report", on_failure="stop")
        orders = tree.add_task(fetch_orders, ["2025-01-31"])
        orders.add_task(check, [orders.output])
        tree.gather(send_report, [tree.outputs])
        run = tree.apply_async()
        run.wait(timeout=60)

    Args:
        name: the name of its runs; by default see :attr:`run_name`.
        on_failure: the effect of a failure anywhere in a run on the rest of the run: ``"continue"``: none; ``"stop"``:
            nodes that have not started are revoked, and the run ends with FAILURE immediately; ``"terminate"``: running
            tasks are terminated, too, as by ``revoke(terminate=True)``.
        max_active: maximum number of nodes of a run that are queued, running or waiting for a retry at the same time;
            None for no limit.

    Attributes:
        definition: the name of the registered definition that built the tree; empty if there is none.
        params: the parameters of the definition, as values that JSON can represent.

    Raises:
        InvalidOption: ``on_failure`` or ``max_active`` has an invalid value.
        InvalidText: the name is too long, or can't be stored.
    """

    def apply_async(
        self,
        *,
        key: str | None = None,
        name: str | None = None,
        launched_by: Any = None,
        draft: bool = False,
        eta: datetime | None = None,
        countdown: float | None = None,
        deadline: datetime | timedelta | None = None,
        copy_of: UUID | None = None,
        run_id: UUID | None = None,
    ) -> TreeResult:
        """Launch the tree: write its rows now, and send the messages when the current transaction commits.

        Example::

            run = tree.apply_async(key="report-2025-01-31", launched_by=request.user, deadline=timedelta(hours=2))

        Args:
            key: makes the launch idempotent: if a run with this key exists, its handle is returned.
            name: the name of this run; by default :attr:`run_name`.
            launched_by: the user who launches it; an anonymous one is not stored.
            draft: store the run, but do not start it until ``launch()`` of its handle is called.
            eta: the start time; a naive time is in the current time zone. Until then the run is a draft.
            countdown: the start time in seconds from now, instead of ``eta``.
            deadline: a time, or a duration from now. A run that has not ended by then is stopped with FAILURE: nodes
                that have not started are revoked; running tasks may finish.
            copy_of: the ID of the run that this one repeats.
            run_id: the ID of the new run, which must not exist yet; by default a generated one.

        Returns:
            The handle of the run. If the broker can't be reached, a warning is logged, and a sweep sends the messages.

        Raises:
            SerializationError: an argument can't be stored.
            BrokenReference: an argument refers to a node outside the tree, or to one that may not have finished when
                the argument is needed.
            InvalidOption: ``eta`` and ``countdown`` are both given, ``launched_by`` is not a user, or not saved, there
                is a run ``run_id`` already, or a node with ``max_active`` is below another one.
            RunNotFound: there is no run ``copy_of``.
            ValueError: ``copy_of`` or ``run_id`` is not a UUID, or a list of children was changed so that a node is in
                the tree twice, or below itself.
            InvalidText: the key, the name, the definition or a parameter can't be stored, or is too long.
            KeyInUse: the key belongs to a run of another definition, other parameters or other root nodes.
        """
        spec = RunSpec(
            id=new_id() if run_id is None else handle_id(run_id),
            name=name or self.run_name,
            definition=self.definition,
            params=self.params,
            key=key,
            launched_by_id=_user_key(launched_by),
            on_failure=OnFailure(self.on_failure),
            max_active=self.max_active,
            draft=_flag("draft", draft) or eta is not None or countdown is not None,
            eta=start_time(eta, countdown),
            deadline=end_time(deadline),
            copy_of_id=None if copy_of is None else handle_id(copy_of),
        )
        run_id, keys = launch_tree(self, spec)
        return TreeResult(run_id, keys)

    async def aapply_async(self, **options: "Unpack[LaunchOptions]") -> TreeResult:
        """Like :meth:`apply_async`, without blocking the event loop."""
        return await sync_to_async(self.apply_async)(**options)

    def apply_and_join(self, timeout: float | None = None, **options: "Unpack[LaunchOptions]") -> list[Any]:
        """Launch the tree, and wait for the tasks that were added with :meth:`push`; see :func:`join_tree`.

        Args:
            timeout: maximum waiting time for each node in seconds; None waits without a limit.
            **options: see :meth:`apply_async`.

        Returns:
            The results of the pushed tasks, in the order in which they were pushed.

        Raises:
            WaitTimeout, NodeNotRun, Exception: see :meth:`NodeResult.get`.
        """
        return join_tree(self.apply_async(**options), timeout)


def _user_key(launched_by: Any) -> Any:
    """Return the primary key of the user who launches a run.

    Raises:
        InvalidOption: it is not a user, or one that has not been saved.
    """
    if launched_by is None:
        return None
    if not is_user(launched_by):
        raise InvalidOption(
            f"launched_by={reprlib.repr(launched_by)} is not a user: pass a user, such as request.user, or None; "
            "a program or person without an account can be named in the name of the run"
        )
    if launched_by.is_authenticated and launched_by.pk is None:
        raise InvalidOption(f"launched_by={reprlib.repr(launched_by)} has not been saved: save the user first")
    return launched_by.pk


def _flag(name: str, value: bool | None) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidOption(f"{name}={value!r} is not valid: it must be True or False")
    return bool(value)


def launch_callbacks(task: Any, args: Any, kwargs: Any, callbacks: list[Any], options: dict[str, Any]) -> Any:
    """Launch a task with callbacks, or only the callbacks, as a run of its own.

    Args:
        task: the task; None if it has run already.
        args: its positional arguments.
        kwargs: its keyword arguments.
        callbacks: the signatures of the callbacks.
        options: the options of the task's message.

    Returns:
        The handle of the task's node; without a task, that of the run.
    """
    tree = TaskTree()
    if task is None:
        for callback in callbacks:
            tree.add_task(callback)
        return tree.apply_async()
    node = tree.add_task(task, args, {**(kwargs or {}), "callback": callbacks}, **options)
    return tree.apply_async()[node]
