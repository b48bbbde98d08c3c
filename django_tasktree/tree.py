"""The tree that a user builds and launches."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_tasktree.canvas import import_canvas
from django_tasktree.citizens import check_choice, check_limit
from django_tasktree.engine.specs import RunSpec
from django_tasktree.exceptions import InvalidOption
from django_tasktree.nodes import NodeParent, TaskTreeNode
from django_tasktree.result import NodeResult, TreeResult, join_tree
from django_tasktree.schedule import end_time, start_time
from django_tasktree.states import OnFailure, RunWhen
from django_tasktree.text import NAME_LENGTH, check_storable, short_name, storable
from django_tasktree.worker.launcher import launch_tree

#: A tree without a name is called after so many tasks.
_NAMED = 3


class TaskTree(NodeParent):
    """A tree of Celery tasks: plain Python, reusable; each launch makes a new run.

    Args:
        name: what runs of it are called; by default nothing.
        on_failure: what a failure anywhere in a run means for the rest of it: ``"continue"``, or ``"stop"``: what has
            not started is revoked, and the run ends with FAILURE at once.
        max_active: how many nodes of a run may be queued, running or waiting for a retry at once.

    Attributes:
        definition: the name of the registered definition that built the tree; empty where none did.
        params: the parameters that the definition was given, as JSON can hold them.

    Raises:
        InvalidOption: ``on_failure`` or ``max_active`` has a value that does not exist.
        InvalidText: the name is too long, or can't be stored.
    """

    def __init__(self, name: str = "", *, on_failure: str = "continue", max_active: int | None = None) -> None:
        super().__init__()
        check_choice("on_failure", on_failure, OnFailure)
        check_limit(max_active)
        self.name = check_storable("the name of the tree", str(name), NAME_LENGTH)
        self.on_failure = on_failure
        self.max_active = max_active
        self.definition = ""
        self.params: dict[str, Any] = {}

    @property
    def run_name(self) -> str:
        """What its runs are called: its own name, or that of its definition, or the names of its root nodes' tasks."""
        return self.name or self.definition or _names_of(self.children)

    @classmethod
    def from_canvas(cls, signature: Any, name: str = "", **options: Any) -> "TaskTree":
        """Make a tree that does what a Celery canvas would do.

        Args:
            signature: a chain, group, chord, chunks, starmap or map, nested in any way, or a single signature; also the
                dict that it becomes as JSON. It is not changed, but generators in it are read.
            name: see :class:`TaskTree`.
            **options: see :class:`TaskTree`.

        Raises:
            UnsupportedCanvas: something in it can't be kept; nothing is changed silently.
            NotACitizen, UnknownTask, TypeError: see :meth:`add_task`.
        """
        tree = cls(name, **options)
        import_canvas(tree, signature)
        return tree

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, root nodes: {len(self.children)}>"

    def add_task(self, task: Any, args: Any = None, kwargs: Any = None, **options: Any) -> TaskTreeNode:
        """Add a root node; see :meth:`NodeParent.add_task`.

        Raises:
            InvalidOption: also where ``run_when="failure"``: nothing comes before a root node that could fail.
        """
        if options.get("run_when") == RunWhen.FAILURE:
            raise InvalidOption("run_when='failure' never fits a root node: nothing comes before it that could fail")
        return super().add_task(task, args, kwargs, **options)

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
    ) -> TreeResult:
        """Launch the tree: its rows are written now, its messages sent when the current transaction commits.

        Args:
            key: makes the launch idempotent: the same key gives the run that exists.
            name: what this run is called; by default :attr:`run_name`.
            launched_by: the user who launches it.
            draft: only write the run down, until somebody calls ``launch()`` on its handle.
            eta: when the run is to start; a naive time is one of the current time zone. Until then it is a draft.
            countdown: the same in seconds from now.
            deadline: a run that has not ended by then, or after so much time from now, is stopped with FAILURE: what
                has not started is revoked, and bodies that run may end.
            copy_of: the key of the run that this one repeats.

        Returns:
            The handle of the run. Where the broker can't be reached the rows wait, and a warning is logged.

        Raises:
            SerializationError: an argument can't be stored.
            BrokenReference: an argument refers to a node outside the tree, or to one that may not have finished by
                then.
            InvalidOption: ``eta`` and ``countdown`` are both given, or a limit stands below another.
            InvalidText: the key, the name, the definition or a parameter can't be stored, or is too long.
            KeyInUse: the key belongs to a run of another definition, other parameters or other root nodes.
        """
        spec = RunSpec(
            name=name or self.run_name,
            definition=self.definition,
            params=self.params,
            key=key,
            launched_by_id=getattr(launched_by, "pk", None),
            on_failure=OnFailure(self.on_failure),
            max_active=self.max_active,
            draft=draft or eta is not None or countdown is not None,
            eta=start_time(eta, countdown),
            deadline=end_time(deadline),
            copy_of_id=copy_of,
        )
        run_id, keys = launch_tree(self, spec)
        return TreeResult(run_id, keys)

    async def aapply_async(self, **options: Any) -> TreeResult:
        """Like :meth:`apply_async`, without blocking the event loop."""
        return await sync_to_async(self.apply_async)(**options)

    def apply_and_join(self, timeout: float | None = None, **options: Any) -> list[Any]:
        """Launch the tree and wait for what was pushed; see :func:`join_tree`.

        Args:
            timeout: seconds for each node; None waits for ever.
            **options: see :meth:`apply_async`.

        Returns:
            The results of the pushed tasks, in the order in which they were pushed.
        """
        return join_tree(self.apply_async(**options), timeout)


def _names_of(nodes: list[TaskTreeNode]) -> str:
    """Name a tree by the tasks of its root nodes."""
    names = list(dict.fromkeys(short_name(node.task) for node in nodes))
    text = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return storable(text, NAME_LENGTH) if names else "empty tree"


def launch_callbacks(task: Any, args: Any, kwargs: Any, callbacks: list[Any], options: dict[str, Any]) -> Any:
    """Launch a task with callbacks outside trees as a small run of its own.

    Returns:
        The handle of the task's node; without a task (it has run already) that of the callbacks' run.
    """
    tree = TaskTree()
    if task is None:
        for callback in callbacks:
            tree.add_task(callback)
        return tree.apply_async()
    node = tree.add_task(task, args, {**(kwargs or {}), "callback": callbacks}, **options)
    result: NodeResult = tree.apply_async()[node]
    return result
