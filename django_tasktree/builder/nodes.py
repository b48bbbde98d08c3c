"""The nodes of a tree that is being built: plain Python objects, without a database."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, cast

from django.utils.module_loading import import_string

from django_tasktree.builder.added_trees import copy_below, options_of_first
from django_tasktree.builder.calls import Call, call
from django_tasktree.builder.children import Parent, children_of, each_of
from django_tasktree.builder.eligibility import registered_task
from django_tasktree.builder.map_arguments import call_with_item, check_batch, check_map_options, checked_items
from django_tasktree.builder.on_demand import MadeOnDemand
from django_tasktree.builder.own_tasks import FORK, MAP, START_RUN
from django_tasktree.builder.quorum import quorum_of
from django_tasktree.builder.rules import DEFAULT_RULES, Rules, shared_rules
from django_tasktree.builder.tolerance import check_tolerance
from django_tasktree.builder.waits import event_spec, sleep_spec
from django_tasktree.encoding.items import Item
from django_tasktree.encoding.nested import holds
from django_tasktree.encoding.nested import replace as replace_in
from django_tasktree.encoding.references import Output
from django_tasktree.encoding.text import short_name
from django_tasktree.encoding.wait_spec import WAIT, WaitSpec
from django_tasktree.exceptions import InvalidOption
from django_tasktree.states import RunWhen
from django_tasktree.types import (
    MessageOptions,
    NodeOptions,
    OnFailureOption,
    OnTimeoutOption,
    R,
    R_co,
    RunWhenOption,
    TaskLike,
    WhenOption,
)

if TYPE_CHECKING:
    from django.forms import BaseForm
    from django.utils.functional import Promise
    from typing_extensions import Unpack


#: Checks the definition of a run and its parameters. Definitions are a layer above this one.
_CHECKED_RUN = "django_tasktree.definitions.sub_runs.checked_run"


class NodeParent(Parent):
    """An object to which nodes can be added: a tree, a node, or the running node."""

    __slots__ = ()

    def add_task(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        label: str | None = None,
        run_when: RunWhenOption = "success",
        allow_failure: bool = False,
        on_failure: OnFailureOption = "continue",
        max_active: int | None = None,
        **options: "Unpack[MessageOptions]",
    ) -> "TaskTreeNode[R]":
        """Add a task as a child. It runs once this has succeeded, or has finished as ``run_when`` requires.

        Under a tree, it becomes a root node and runs when the run starts.

        Example::

            orders = tree.add_task(fetch_orders, ["2025-01-31"])
            orders.add_task(check, [orders.output], queue="slow", time_limit=60)
            orders.add_task(notify, ["the orders can't be fetched"], run_when="failure")

        Args:
            task: a task instance, a task class, a registered name, or a signature, whose arguments and options are
                used. The task must derive from :class:`django_tasktree.CallbackTask`.
            args: positional arguments; never mutated. They follow those of a signature.
            kwargs: keyword arguments; never mutated. ``callback``, a signature or a list of them, adds children to the
                node.
            label: a name for the node, which differs from those of its siblings. A path of labels identifies the node
                in every run of the tree: ``run["orders/check"]``. It may not contain a slash.
            run_when: the outcome of the parent for which the node runs: ``"success"``, ``"failure"`` or ``"always"``.
            allow_failure: whether the run, and gather nodes above the node, count as successful even if the node itself
                fails. The nodes below it depend on their ``run_when`` as usual.
            on_failure: the effect of a failure of the node, or of any node below it, on the rest of its subtree:
                ``"continue"``: none; ``"stop"``: nodes that have not started are revoked; ``"terminate"``: running
                tasks are terminated, too, as by ``revoke(terminate=True)``.
            max_active: maximum number of nodes below it that are queued, running or waiting for a retry at the same
                time; None for no limit.
            **options: options of the message, see :class:`django_tasktree.types.MessageOptions`: those of Celery's
                ``apply_async`` (times in seconds); and ``on_worker_lost`` and ``max_deliveries``, which override those
                of the task.

        Returns:
            The new node, to which children can be added.

        Raises:
            TaskNotSupported: the task can't be a node; the message explains how to change it.
            UnknownTask: no task of this name is registered.
            InvalidOption: an option does not exist, has an invalid value, or excludes another one; a sibling has the
                same label; or a root node has ``run_when="failure"``, although it has no parent that could fail.
            TypeError: the arguments do not match the signature of the task.
        """
        rules = shared_rules(run_when, False, allow_failure, on_failure, max_active)
        return self._add(task, args, kwargs, label, rules, {**options})

    def gather(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        when: WhenOption = "all",
        label: str | None = None,
        run_when: RunWhenOption = "success",
        allow_failure: bool = False,
        on_failure: OnFailureOption = "continue",
        max_active: int | None = None,
        **options: "Unpack[MessageOptions]",
    ) -> "TaskTreeNode[R]":
        """Add a :term:`gather node`: a task that runs once everything else under this has :term:`settled` (fan-in).

        It corresponds to the body of a chord in Celery. The arguments are those of :meth:`add_task`, except for the
        meaning of ``run_when``.

        Example::

            for part in range(4):
                tree.add_task(count, [part])
            tree.gather(add_up, [tree.outputs])

        Args:
            task: see :meth:`add_task`.
            args: see :meth:`add_task`.
            kwargs: see :meth:`add_task`.
            when: how many of the other children must succeed, with everything below them, before the node runs:
                ``"all"``; ``"any"``: one; a number; or a share such as ``"80%"``, which is rounded up. Once enough have
                succeeded, the node runs without waiting for the others. Once too few can still succeed, ``run_when``
                decides as after a failure.
            label: see :meth:`add_task`.
            run_when: when the node runs: ``"success"``: if neither this nor anything else below it failed;
                ``"failure"``: if something failed; ``"always"``: in both cases.
            allow_failure: see :meth:`add_task`.
            on_failure: see :meth:`add_task`.
            max_active: see :meth:`add_task`.
            **options: see :meth:`add_task`.

        Returns:
            The new node, to which children can be added.

        Raises:
            TaskNotSupported, UnknownTask, InvalidOption, TypeError: see :meth:`add_task`.
        """
        rules = shared_rules(run_when, True, allow_failure, on_failure, max_active, quorum_of(when))
        return self._add(task, args, kwargs, label, rules, {**options})

    def map(
        self,
        task: TaskLike[R],
        *,
        over: Any,
        args: Sequence[Any] | Item | None = None,
        kwargs: Mapping[str, Any] | Item | None = None,
        batch: int | None = None,
        tolerate: int | str | None = None,
        label: str | None = None,
        run_when: RunWhenOption = "success",
        on_failure: OnFailureOption = "continue",
        max_active: int | None = None,
        **options: "Unpack[MessageOptions]",
    ) -> "MapNode[R]":
        """Add a :term:`map node`, which makes a child for each item of a list that may be known only at run time.

        Example::

            index = tree.add_task(fetch_index, [day])
            pages = index.map(load, over=index.output["pages"], args=[ITEM, day], max_active=20, tolerate="2%")
            pages.gather(report, [pages.outputs])

        Args:
            task: the task of the children; see :meth:`add_task`.
            over: the items: the output of a node, or a part of one; or a list, tuple, set, range, dict or QuerySet that
                is known already. The items of a dict are pairs of a key and a value. A QuerySet is read when the tree
                is launched; the tasks get its rows.
            args: positional arguments of each child, with :data:`ITEM <django_tasktree.ITEM>` or parts of it, such as
                ``ITEM["url"]``, where the item belongs. ``args=ITEM``: the item is the list of the arguments. By
                default the item is the only argument.
            kwargs: keyword arguments of each child, likewise; ``kwargs=ITEM``: the item is a dict of them.
            batch: how many items a child gets, as a list; by default one item, not in a list.
            tolerate: how many children, with everything below them, may fail: a number, or a share such as ``"2%"``,
                which is rounded down. Up to this, the map succeeds; if more fail, the map fails and the children that
                have not started are revoked. By default, the map fails if one child fails, and the others continue.
            label: see :meth:`add_task`.
            run_when: see :meth:`add_task`.
            on_failure: see :meth:`add_task`. ``"terminate"`` with ``tolerate``: running children are terminated, too,
                if more fail than are tolerated.
            max_active: see :meth:`add_task`.
            **options: options of the messages of the children; see :meth:`add_task`.

        Returns:
            The map node. Its attribute ``each`` is the node of one item, to which nodes can be added that run for each
            item. With ``gather()``, nodes are added to the map that run after all children.

        Raises:
            TaskNotSupported, UnknownTask, InvalidOption, TypeError: see :meth:`add_task`.
        """
        check_map_options(options)
        rules = shared_rules(run_when, False, False, on_failure, max_active)
        each: TaskTreeNode[R] = TaskTreeNode(call_with_item(task, args, kwargs, {**options}))
        node = MapNode(each, over, rules, batch=batch, tolerate=tolerate)
        self._place(node, label)
        return node

    def wait_for(
        self,
        name: str,
        *,
        label: str | None = None,
        title: "str | Promise | None" = None,
        description: "str | Promise | None" = None,
        form: "type[BaseForm] | None" = None,
        params: Callable[..., Any] | Mapping[str, Any] | None = None,
        timeout: timedelta | None = None,
        on_timeout: OnTimeoutOption = "failure",
        default: Any = None,
        remind_after: timedelta | None = None,
        remind_every: timedelta | None = None,
        run_when: RunWhenOption = "success",
        allow_failure: bool = False,
        on_failure: OnFailureOption = "continue",
        max_active: int | None = None,
    ) -> "WaitNode":
        """Add a :term:`wait node` as a child: it has no task, and ends when an event comes, or a person completes it.

        It needs no worker, and never occupies a place under ``max_active``. Its payload is its output.

        Example::

            ok = total.wait_for("approved", form=ApprovalForm, timeout=timedelta(days=3))
            ok.add_task(publish, [ok.output])

        Args:
            name: the name of the event: :meth:`TreeResult.send_event <django_tasktree.TreeResult.send_event>` ends the
                first node that waits for it.
            label: see :meth:`add_task`; by default the name.
            title: what a person is asked, in one line: the heading of the pages on which the node is completed; by
                default the label. A lazy translation is stored in the language that is active now.
            description: more about it, below the heading. It is plain text, not HTML; a blank line begins a paragraph.
            form: a form that validates the payload. Its cleaned data are the output. Define it at the top level of a
                module of an installed app.
            params: instead of a form, a dict of names and types of :term:`definitions <definition>`, or of names and
                pairs of a type and a default: the payload is a dict of such values. Or a function with these
                parameters, which is not called.
            timeout: the maximum duration of the wait; None for no limit.
            on_timeout: the outcome of the node if the time has passed: ``"failure"``, ``"success"`` or ``"skip"``.
            default: the output if the time has passed and ``on_timeout`` is ``"success"``.
            remind_after: how long after its start the signal ``node_waiting`` is sent again; None: after
                ``remind_every``, if that is given.
            remind_every: the interval of further reminders; None for none. Those that were missed are not sent later.
            run_when: see :meth:`add_task`.
            allow_failure: see :meth:`add_task`.
            on_failure: see :meth:`add_task`.
            max_active: see :meth:`add_task`.

        Returns:
            The new node, to which children can be added.

        Raises:
            InvalidOption: an option has an invalid value, or excludes another one; also see :meth:`add_task`.
            InvalidDefinition: a parameter of ``params`` has a type that is not supported.
            InvalidText: the name, the label or the title is too long.
        """
        spec = event_spec(
            name,
            title=title,
            description=description,
            form=form,
            params=params,
            timeout=timeout,
            on_timeout=on_timeout,
            default=default,
            remind_after=remind_after,
            remind_every=remind_every,
        )
        rules = shared_rules(run_when, False, allow_failure, on_failure, max_active)
        return self._add_wait(spec, spec.event if label is None else label, rules)

    def sleep(
        self,
        duration: timedelta | None = None,
        *,
        until: datetime | None = None,
        label: str | None = None,
        run_when: RunWhenOption = "success",
        allow_failure: bool = False,
        on_failure: OnFailureOption = "continue",
        max_active: int | None = None,
    ) -> "WaitNode":
        """Add a :term:`wait node` as a child that succeeds when a time has come; its output is None.

        It occupies no worker, unlike ``time.sleep`` in a task, and no broker keeps a message for it.

        Args:
            duration: how long the node waits.
            until: when it succeeds, instead of a duration. A time in the past is allowed.
            label: see :meth:`add_task`.
            run_when: see :meth:`add_task`.
            allow_failure: see :meth:`add_task`.
            on_failure: see :meth:`add_task`.
            max_active: see :meth:`add_task`.

        Returns:
            The new node, to which children can be added.

        Raises:
            InvalidOption: both or none of ``duration`` and ``until`` are given, or an option has an invalid value.
        """
        rules = shared_rules(run_when, False, allow_failure, on_failure, max_active)
        return self._add_wait(sleep_spec(duration, until), label, rules)

    def add_tree(
        self, tree: "NodeParent", *, label: str | None = None, run_when: RunWhenOption = "success"
    ) -> "AddedTreeNode":
        """Add a copy of another tree: its nodes run below a new node, which has no function of its own.

        The tree is not changed. To run it twice, add it twice: each time its nodes are copied, so no copy has to be
        made before; labels of siblings must differ. It can be launched, too. Its ``on_failure`` and ``max_active``
        apply to the nodes of the copy.

        Example::

            published = node.add_tree(publish(day), label="publish")
            node.gather(report, [published.output])

        Args:
            tree: the tree; a :term:`definition` returns one when it is called.
            label: see :meth:`add_task`.
            run_when: see :meth:`add_task`.

        Returns:
            The new node. Its ``output`` is the result of the tree, as declared by ``returns()``; otherwise the output
            of its last gather node directly under the tree; or else of its last root node. Use it in a gather node
            that is added to the same parent, or further up. ``outputs`` are those of the root nodes of the tree. A
            node that is added below it starts with these.

        Raises:
            InvalidOption: it is not a tree; also see :meth:`add_task`.
        """
        if not isinstance(tree, NodeParent) or not hasattr(tree, "returned"):
            hint = "call the definition, or use add_run()" if hasattr(tree, "launch") else "pass a TaskTree"
            raise InvalidOption(f"add_tree() takes a tree, not {tree!r}: {hint}")
        rules = shared_rules(run_when, False, False, tree.on_failure, tree.max_active)  # type: ignore[attr-defined]
        node = AddedTreeNode(options_of_first(tree), rules)
        copy_below(tree, node)
        self._place(node, label)
        return node

    def add_run(
        self,
        definition: Any,
        params: Mapping[str, Any] | None = None,
        *,
        label: str | None = None,
        run_when: RunWhenOption = "success",
        allow_failure: bool = False,
        on_failure: OnFailureOption = "continue",
        max_active: int | None = None,
        **options: "Unpack[MessageOptions]",
    ) -> "TaskTreeNode[Any]":
        """Add a node that starts a run of its own, a :term:`sub-run`, and waits for it. The result is that of the run.

        It occupies no worker while it waits. Pause, resume, revocation and deadline of this run also apply to the
        sub-run; if the sub-run fails, the node fails.

        Example::

            report = tree.add_run("nightly-report", {"day": day}, label="report")
            report.add_task(mail, [report.output])

        Args:
            definition: the name of a :term:`definition`, or the definition itself. The tree is built when the node
                runs, in a worker.
            params: its parameters. They may contain outputs of nodes.
            label: see :meth:`add_task`.
            run_when: see :meth:`add_task`.
            allow_failure: see :meth:`add_task`.
            on_failure: see :meth:`add_task`; it concerns the nodes below this one, not those of the sub-run.
            max_active: see :meth:`add_task`; likewise.
            **options: options of the message of the node that starts the run; see :meth:`add_task`.

        Returns:
            The new node, to which children can be added.

        Raises:
            UnknownDefinition: no definition has this name.
            InvalidParameter: parameters are missing, unknown or have invalid values, as far as they are known already.
            InvalidOption: see :meth:`add_task`.
        """
        check: Callable[..., Any] = import_string(_CHECKED_RUN)
        rules = shared_rules(run_when, False, allow_failure, on_failure, max_active)
        return self._add(START_RUN, check(definition, params), None, label, rules, {**options})

    def push(
        self,
        task: TaskLike[R],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: "Unpack[NodeOptions]",
    ) -> "TaskTreeNode[R]":
        """Add a task below the one that was pushed last, so that pushed tasks run one after another.

        The arguments and errors are those of :meth:`add_task`.

        Example::

            tree.push(fetch, ["2025-01-31"])
            tree.push(report)  # runs once fetch has succeeded
            tree.apply_and_join(timeout=60)

        Returns:
            The new node, to which children can be added.
        """
        below = self._stack[-1] if self._stack else self
        node = below.add_task(task, args, kwargs, **options)
        if self._stack is None:
            self._stack = []
        self._stack.append(node)
        return node

    def pop(self) -> "TaskTreeNode[Any]":
        """Remove the task that was pushed last, with its subtree, and return its node.

        Raises:
            IndexError: no pushed task is left.
        """
        if not self._stack:
            raise IndexError("pop from an empty stack: every task that was pushed has been taken back")
        node = self._stack.pop()
        node.detach()
        return node

    def _add(
        self, task: Any, args: Any, kwargs: Any, label: str | None, rules: Rules, options: dict[str, Any]
    ) -> "TaskTreeNode[Any]":
        return self._place(TaskTreeNode(call(task, args, kwargs, options), rules), label)

    def _add_wait(self, spec: WaitSpec, label: str | None, rules: Rules) -> "WaitNode":
        node = WaitNode(spec, rules)
        self._place(node, label)
        return node


class NodeWithOutput(NodeParent, Generic[R_co]):
    """An object with a result, which can be an argument of nodes that run later."""

    __slots__ = ()

    @property
    def output(self) -> Output[R_co]:
        """A reference to the result of the node (:term:`output`), for the arguments of a node that runs later."""
        return Output(self, "output")


class TaskTreeNode(NodeWithOutput[R_co], Generic[R_co]):
    """A :term:`node`: one task in a tree that is being built.

    Attributes:
        task: the registered name of the task.
        args: positional arguments, as given.
        kwargs: keyword arguments, without ``callback``.
        options: options of the message.
        rules: the conditions for running the node, and the effects of its failure.
        parent: the node or tree to which the node was added; None after :meth:`pop`.
        children: the child nodes, callbacks first. Do not change the list: a launch refuses a node that is in a tree
            twice.
    """

    __slots__ = ("_kwargs", "_label", "_options", "args", "parent", "rules", "task")

    kwargs: "MadeOnDemand[dict[str, Any]]" = MadeOnDemand(dict)
    options: "MadeOnDemand[dict[str, Any]]" = MadeOnDemand(dict)

    def __init__(self, described: Call, rules: Rules = DEFAULT_RULES) -> None:
        super().__init__()
        self.task = described.name
        self._label: str | None = None
        self.args = described.args
        self._kwargs = described.kwargs or None
        self._options = described.options or None
        self.rules = rules
        self.parent: Parent | None = None
        for callback in described.callbacks:
            self.add_task(callback)

    @property
    def label(self) -> str | None:
        """Its name among its siblings; None if it has none."""
        return self._label

    def bare_copy(self) -> "TaskTreeNode[R_co]":
        """Return a copy without parent, label and children."""
        node = copy(self)
        node._children = node._stack = node._labels = None
        node.parent = node._label = None
        node._kwargs = None if self._kwargs is None else dict(self._kwargs)
        node._options = None if self._options is None else dict(self._options)
        return node

    def rebind(self, by: Callable[[Output[Any]], Output[Any]]) -> None:
        """Replace each output in the arguments with the one that a function returns for it."""
        self.args = _rebound(self.args, by)
        self._kwargs = _rebound(self._kwargs, by)

    def detach(self) -> None:
        """Remove the node from its parent."""
        if self.parent is not None:
            self.parent.children.remove(self)
            if self.label is not None and self.parent._labels:
                self.parent._labels.discard(self.label)
            self.parent = None

    def __repr__(self) -> str:
        when = "" if self.rules.run_when == RunWhen.SUCCESS else f" when {self.rules.run_when}"
        kind = "gather " if self.rules.is_gather else ""
        name = self.task if self.label is None else f"{self.label!r} ({self.task})"
        return f"<{type(self).__name__} {kind}{name}{when}, children: {len(children_of(self))}>"

    def __str__(self) -> NoReturn:
        """Raise TypeError: a text that contains the node would be passed on instead of the node's result.

        Raises:
            TypeError: always. Use ``repr()`` to describe the node.
        """
        raise TypeError(
            f"{self!r} has no value before it has run: pass its output, node.output, on as an argument, and use it in "
            "the task; repr(node) describes the node"
        )

    def __format__(self, format_spec: str) -> NoReturn:
        """Raise TypeError, like :meth:`__str__`.

        Raises:
            TypeError: always.
        """
        self.__str__()


class MapNode(TaskTreeNode[int], Generic[R]):
    """A :term:`map node` in a tree that is being built. Its result is the number of its children.

    Attributes:
        each: the node of one item. Nodes that are added to it run for each item.
        over: the items, or the output that contains them.
        batch: how many items a child gets; None: one, not in a list.
        tolerate: how many children may fail, or which share of them; None: none, and the others continue.
    """

    __slots__ = ("batch", "each", "over", "tolerate")

    def __init__(
        self,
        each: TaskTreeNode[R],
        over: Any,
        rules: Rules,
        *,
        batch: int | None = None,
        tolerate: int | str | None = None,
    ) -> None:
        super().__init__(Call(MAP, (short_name(each.task),)), rules)
        # In a process that is not a worker, it may not have been imported yet.
        registered_task(MAP)
        check_batch(batch)
        check_tolerance(tolerate)
        self.each = each
        self.over = checked_items(over)
        self.batch = batch
        self.tolerate = tolerate
        each.parent = self

    def bare_copy(self) -> "MapNode[R]":
        """Return a copy without parent, label and children, with a copy of the node of one item."""
        node = cast("MapNode[R]", super().bare_copy())
        node.each = self.each.bare_copy()
        node.each.parent = node
        return node

    def rebind(self, by: Callable[[Output[Any]], Output[Any]]) -> None:
        """See :meth:`TaskTreeNode.rebind`; the items may contain outputs, too."""
        super().rebind(by)
        self.over = _rebound(self.over, by)

    def _place(self, node: TaskTreeNode[Any], label: str | None) -> TaskTreeNode[Any]:
        if not node.rules.is_gather:
            raise InvalidOption(
                f"{self!r} makes its children itself: add what follows each of them to its attribute 'each', as in "
                f"pages.each.add_task({short_name(node.task)}), and what follows all of them with gather()"
            )
        return super()._place(node, label)


def map_above(node: Parent | None) -> "MapNode[Any] | None":
    """Return the innermost map for whose items a node runs; None if it runs once."""
    while isinstance(node, TaskTreeNode):
        if node.parent is not None and each_of(node.parent) is node:
            return cast("MapNode[Any]", node.parent)
        node = node.parent
    return None


class WaitNode(TaskTreeNode[Any]):
    """A :term:`wait node` in a tree that is being built.

    Attributes:
        spec: what it waits for.
    """

    __slots__ = ("spec",)

    def __init__(self, spec: WaitSpec, rules: Rules = DEFAULT_RULES) -> None:
        super().__init__(Call(WAIT), rules)
        self.spec = spec


class AddedTreeNode(TaskTreeNode[Any]):
    """A node below which the nodes of another tree run; see :meth:`NodeParent.add_tree`.

    Attributes:
        returned: the result of the tree: a value with outputs of its nodes.
        root_count: the number of root nodes of the tree. They come first among the children.
    """

    __slots__ = ("returned", "root_count")

    def __init__(self, options: dict[str, Any], rules: Rules) -> None:
        super().__init__(Call(FORK, options=options), rules)
        # In a process that is not a worker, it may not have been imported yet.
        registered_task(FORK)
        self.returned: Any = None
        self.root_count = 0

    @property
    def output(self) -> Any:
        """The result of the tree, with outputs of its nodes, for the arguments of a node that gathers them."""
        return self.returned

    def rebind(self, by: Callable[[Output[Any]], Output[Any]]) -> None:
        """See :meth:`TaskTreeNode.rebind`; the result contains outputs, too."""
        super().rebind(by)
        self.returned = _rebound(self.returned, by)

    def _place(self, node: TaskTreeNode[Any], label: str | None) -> TaskTreeNode[Any]:
        if node.rules.run_when == RunWhen.FAILURE and not node.rules.is_gather:
            raise InvalidOption(
                f"run_when='failure' never fits a node below {self!r}, which does nothing that could fail: use "
                "gather(…, run_when='failure'), which runs if something in the tree that was added has failed"
            )
        return super()._place(node, label)


def _rebound(value: Any, by: Callable[[Output[Any]], Output[Any]]) -> Any:
    return replace_in(value, Output, by) if holds(value, Output) else value
