"""What a user builds: nodes in a tree, plain Python with no database behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django_tasktree import citizens
from django_tasktree.citizens import check_choice, check_limit
from django_tasktree.references import Output
from django_tasktree.states import OnFailure, RunWhen


class NodeParent:
    """What nodes can be added to: a tree, a node, or the node that is running."""

    def __init__(self) -> None:
        self.children: list[TaskTreeNode] = []
        self._stack: list[TaskTreeNode] = []

    @property
    def outputs(self) -> Output:
        """The list of the results of the children that succeed (gather nodes left out), in order."""
        return Output(self, "outputs")

    @property
    def outcomes(self) -> Output:
        """What became of each child (gather nodes left out), in order, for a task that must know of failures too.

        Each is a dict: ``node`` (its key), ``task``, ``args`` and ``kwargs`` (outputs in them as text), ``state``
        (``"SUCCESS"``, ``"FAILURE"``, …), ``result`` (None but after a success) and ``error`` (None, or a dict of
        ``type`` and ``message``).
        """
        return Output(self, "outcomes")

    @property
    def subtree_outputs(self) -> Output:
        """Like :attr:`outputs`, but of each child its gather node's result where it has one: map-reduce upwards."""
        return Output(self, "subtree_outputs")

    def add_task(
        self,
        task: Any,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        run_when: str = "success",
        allow_failure: bool = False,
        on_failure: str = "continue",
        max_active: int | None = None,
        **options: Any,
    ) -> "TaskTreeNode":
        """Add a task that runs once this has ended.

        Args:
            task: a task instance, a task class, a registered dotted name or a Signature, whose args, kwargs and
                options are taken. It must derive from :class:`django_tasktree.CallbackTask`.
            args: positional arguments; never mutated. They follow those of a Signature.
            kwargs: keyword arguments; never mutated. ``callback``, a signature or a list of them, gives the node
                further children.
            run_when: how the parent must have ended: ``"success"``, ``"failure"`` or ``"always"``.
            allow_failure: whether the node's own failure leaves the run, and gather nodes above it, successful. What is
                below it follows its ``run_when`` all the same.
            on_failure: what a failure of the node, or of anything below it, means for the rest of its subtree:
                ``"continue"``, or ``"stop"``: what has not started is revoked.
            max_active: how many of the nodes below it may be queued, running or waiting for a retry at once.
            **options: how the message is sent: those of ``apply_async`` that :data:`citizens.OPTIONS` lists; and
                ``on_worker_lost`` and ``max_deliveries``, which go before those of the task.

        Returns:
            The new node; its own children run once it has ended.

        Raises:
            NotACitizen: the task can't take part in a tree; the message says how to make it one.
            UnknownTask: no task of that name is registered.
            InvalidOption: an option or ``run_when`` that does not exist, or two that exclude each other.
            TypeError: the arguments do not fit the task's signature.
        """
        rules = Rules(run_when, False, allow_failure, on_failure, max_active)
        return self._add(task, args, kwargs, rules, options)

    def gather(
        self,
        task: Any,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        run_when: str = "success",
        allow_failure: bool = False,
        on_failure: str = "continue",
        max_active: int | None = None,
        **options: Any,
    ) -> "TaskTreeNode":
        """Add a task that runs once everything else under this has settled (fan-in, like the body of a chord).

        Args, options and errors are those of :meth:`add_task`; only ``run_when`` differs.

        Args:
            task: see :meth:`add_task`.
            args: see :meth:`add_task`.
            kwargs: see :meth:`add_task`.
            run_when: ``"success"``: nothing failed, neither this nor anything below it; ``"failure"``: something
                failed; ``"always"``.
            allow_failure: see :meth:`add_task`.
            on_failure: see :meth:`add_task`.
            max_active: see :meth:`add_task`.
            **options: see :meth:`add_task`.
        """
        rules = Rules(run_when, True, allow_failure, on_failure, max_active)
        return self._add(task, args, kwargs, rules, options)

    def push(self, task: Any, args: Any = None, kwargs: Any = None, **options: Any) -> "TaskTreeNode":
        """Add a task below the one that was pushed last, so that pushed tasks run one after another.

        Takes what :meth:`add_task` takes.
        """
        below = self._stack[-1] if self._stack else self
        node = below.add_task(task, args, kwargs, **options)
        self._stack.append(node)
        return node

    def pop(self) -> "TaskTreeNode":
        """Take back the task that was pushed last, with all that was added below it.

        Raises:
            IndexError: nothing is left to take back.
        """
        if not self._stack:
            raise IndexError("pop from an empty stack: every task that was pushed has been taken back")
        node = self._stack.pop()
        node.detach()
        return node

    def _add(self, task: Any, args: Any, kwargs: Any, rules: "Rules", options: dict[str, Any]) -> "TaskTreeNode":
        node = TaskTreeNode(citizens.call(task, args, kwargs, options), rules)
        node.parent = self
        self.children.append(node)
        return node


class NodeWithOutput(NodeParent):
    """What has a result that nodes which run later can be given."""

    @property
    def output(self) -> Output:
        """The node's result, to be placed anywhere in the arguments of a node that runs later."""
        return Output(self, "output")


@dataclass(frozen=True)
class Rules:
    """When a node runs, and what its failure means; see :meth:`NodeParent.add_task`.

    Raises:
        InvalidOption: a value does not exist.
    """

    run_when: str = "success"
    is_gather: bool = False
    allow_failure: bool = False
    on_failure: str = "continue"
    max_active: int | None = None

    def __post_init__(self) -> None:
        check_choice("run_when", self.run_when, RunWhen)
        check_choice("on_failure", self.on_failure, OnFailure)
        check_limit(self.max_active)


class TaskTreeNode(NodeWithOutput):
    """One task in a tree that is being built.

    Attributes:
        task: the task's registered name.
        args: positional arguments, as given.
        kwargs: keyword arguments, without ``callback``.
        options: how the message is sent.
        rules: when it runs, and what its failure means.
        parent: the node or tree that it was added to; None once it was popped.
        children: the nodes below it, callbacks first.
    """

    def __init__(self, call: citizens.Call, rules: Rules = Rules()) -> None:
        super().__init__()
        self.task = call.name
        self.args = call.args
        self.kwargs = call.kwargs
        self.options = call.options
        self.rules = rules
        self.parent: NodeParent | None = None
        for callback in call.callbacks:
            self.add_task(callback)

    def detach(self) -> None:
        """Take the node out of its parent."""
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    def __repr__(self) -> str:
        when = "" if self.rules.run_when == RunWhen.SUCCESS else f" when {self.rules.run_when}"
        kind = "gather " if self.rules.is_gather else ""
        return f"<{type(self).__name__} {kind}{self.task}{when}, children: {len(self.children)}>"
