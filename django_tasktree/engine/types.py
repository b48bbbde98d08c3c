"""The arguments and results of the engine's operations: plain values, no rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.encoding.text import LONG_NAME_LENGTH, NAME_LENGTH, check_json, check_storable, storable
from django_tasktree.states import NodeState, OnFailure, RunState, RunWhen


@dataclass(frozen=True, slots=True)
class Placement:
    """The place in a run at which nodes are inserted.

    Attributes:
        run_id: the run.
        parent_id: the parent; None for root nodes.
        first_position: the position of the first inserted node.
        stop_scope_id: the run, or the node with its subtree, that is revoked if one of the nodes fails; None for none.
        limit_scope_id: the run or the node towards whose limit the nodes count; None for no limit.
    """

    run_id: UUID
    parent_id: UUID | None = None
    first_position: int = 0
    stop_scope_id: UUID | None = None
    limit_scope_id: UUID | None = None


@dataclass(slots=True)
class NodeSpec:
    """A node to insert; texts are in the format of ``serialization``.

    Attributes:
        template: for a map node that makes its children at run time, the nodes of one item; see
            :class:`django_tasktree.builder.template.Template`.
        tolerated: how many children may fail; None: a failure of one child counts.
        quorum: for a gather node, how many of its siblings must succeed: a number or a share; empty: it waits for all.
    """

    id: UUID
    parent_id: UUID | None
    position: int
    task: str
    args: str
    kwargs: str
    options: str
    has_references: bool
    run_when: RunWhen
    is_gather: bool
    child_count: int
    allow_failure: bool = False
    on_failure: OnFailure = OnFailure.CONTINUE
    max_active: int | None = None
    stop_scope_id: UUID | None = None
    limit_scope_id: UUID | None = None
    lane: str = ""
    label: str | None = None
    template: str | None = None
    tolerated: int | None = None
    quorum: str = ""
    wait: str | None = None


@dataclass(slots=True)
class RunSpec:
    """A run to insert.

    Attributes:
        draft: whether the run waits to be launched, by a user or at ``eta``.
        returns: its result, with references to nodes, in the format of ``serialization``; None: it has none.
        parent: if it is a sub-run, the attempt that starts it.
        depth: how many runs it is nested in.

    Raises:
        InvalidText: if a text is too long or can't be stored.
    """

    id: UUID = field(default_factory=new_id)
    name: str = ""
    definition: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    launched_by_id: Any = None
    on_failure: OnFailure = OnFailure.CONTINUE
    max_active: int | None = None
    draft: bool = False
    eta: datetime | None = None
    deadline: datetime | None = None
    copy_of_id: UUID | None = None
    returns: str | None = None
    parent: "NodeRef | None" = None
    depth: int = 0

    def __post_init__(self) -> None:
        """Check the texts, before anything is written, for what a supported database can't store."""
        self.name = check_storable("the name of the run", str(self.name), NAME_LENGTH)
        self.definition = check_storable("the name of the definition", str(self.definition), NAME_LENGTH)
        if self.key is not None:
            self.key = check_storable("the launch key", str(self.key), NAME_LENGTH)
        for name, value in self.params.items():
            check_json(f"the parameter {name!r} of the run", {name: value})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRef:
    """An attempt at a node, as its message names it; ``task_id`` is the fencing token."""

    id: UUID
    run_id: UUID
    parent_id: UUID | None
    task_id: UUID
    child_count: int
    stop_scope_id: UUID | None = None
    limit_scope_id: UUID | None = None
    max_active: int | None = None
    lane: str = ""
    label: str | None = None

    def __str__(self) -> str:
        """Return the ID and the label, for logs."""
        return str(self.id) if self.label is None else f"{self.id} ({self.label!r})"

    @staticmethod
    def of(row: Any) -> "NodeRef":
        """Return a reference to the current attempt at a node.

        Args:
            row: the node's row, or a :class:`Dispatch`.
        """
        return NodeRef(**{name: getattr(row, name) for name in _REF_COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch(NodeRef):
    """A node to publish, with everything that its message needs; or a wait node that has begun to wait."""

    task: str
    args: str
    kwargs: str
    options: str
    has_references: bool
    retries: int = 0
    eta: datetime | None = None
    wait: str | None = None

    @staticmethod
    def of_columns(columns: Iterable[Any]) -> "Dispatch":
        """Return a dispatch made of the columns of a node's row, in the order of :data:`DISPATCH_COLUMNS`."""
        return Dispatch(**dict(zip(DISPATCH_COLUMNS, columns, strict=True)))

    @staticmethod
    def of_spec(run_id: UUID, spec: NodeSpec) -> "Dispatch":
        """Return the dispatch of the first attempt at a node that was just inserted; its task ID is the node's ID."""
        return Dispatch(run_id=run_id, task_id=spec.id, **{name: getattr(spec, name) for name in _SPEC_COLUMNS})


@dataclass(frozen=True, slots=True)
class Taker:
    """A worker process that takes queued nodes of a lane while the message of another node is being handled.

    Attributes:
        run_id: the run.
        lane: the lane.
        carried_by: the task ID of the message.
        worker: the name of the worker.
        worker_id: the ID of the worker's row; None if no worker is involved.
    """

    run_id: UUID
    lane: str
    carried_by: UUID
    worker: str
    worker_id: UUID | None

    def __post_init__(self) -> None:
        """Make the name of the worker storable: an operating system permits names that a database does not."""
        object.__setattr__(self, "worker", storable(self.worker, LONG_NAME_LENGTH))


_REF_COLUMNS = tuple(field.name for field in fields(NodeRef))
#: The columns of a node's row that :class:`Dispatch` contains.
DISPATCH_COLUMNS = tuple(field.name for field in fields(Dispatch))
_SPEC_COLUMNS = tuple(field.name for field in fields(NodeSpec) if field.name in DISPATCH_COLUMNS)


@dataclass(frozen=True, slots=True)
class CompanionRow:
    """A row of another app's table that is written with a node's outcome, in the same statement where possible.

    Attributes:
        insert: ``INSERT INTO table (columns)``.
        values: the value of each column, of a type that the database driver accepts.
        on_conflict: the SQL after the values.
        placeholders: a placeholder for each value, with a cast to the type of the column where the database needs it.
    """

    insert: str
    values: tuple[Any, ...]
    on_conflict: str
    placeholders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt.

    Attributes:
        state: SUCCESS, FAILURE, REVOKED or SKIPPED.
        result: the serialized result.
        error: the error, if the attempt failed.
        skip_children: whether the children are skipped although the node succeeded.
        added: nodes that the task added; they are inserted in the same transaction as the outcome.
        companion: a row that is written if, and only if, the outcome is.
        at: the finish time; it identifies an earlier try of the same write whose COMMIT reply was lost.
    """

    state: NodeState
    result: str | None = None
    error: NodeError | None = None
    skip_children: bool = False
    added: tuple[NodeSpec, ...] = ()
    companion: CompanionRow | None = None
    at: datetime = field(default_factory=times.now)


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect that an :term:`action` has, or would have, as numbers of nodes.

    Attributes:
        again: nodes that run again, or wait again: they had failed, succeeded, or been revoked, queued or skipped.
        revoked: nodes that are revoked before they start.
        held: nodes that get a hold or lose it.
        removed: nodes that a task function had added and may add again; for a deletion, all nodes of the run.
        stays: nodes that have succeeded and stay as they are.
        running: nodes whose task is running now; it continues, unless it is terminated.
    """

    again: int = 0
    revoked: int = 0
    held: int = 0
    removed: int = 0
    stays: int = 0
    running: int = 0

    @property
    def moved(self) -> int:
        """The number of affected nodes, without those that stay or are running."""
        return self.again + self.revoked + self.held + self.removed


@dataclass(frozen=True, slots=True)
class Launched:
    """The result of a launch.

    Attributes:
        run_id: the run.
        created: False if the launch key belongs to a run that existed already.
        dispatches: nodes to publish after commit.
        runnable: whether nodes became runnable, so that ``advance`` must be called after commit.
        ended: the final state of the run, if it has ended because it has no nodes to run.
    """

    run_id: UUID
    created: bool
    dispatches: Iterable[Dispatch] = ()
    runnable: bool = False
    ended: RunState | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """The consequences of the end of a node.

    Attributes:
        dispatches: nodes that were queued, to be published after commit.
        runnable: whether other nodes became runnable, so that ``advance`` must be called after commit.
        settled: whether the node has settled already, because nothing below it will run.
        stopped: whether the node's failure has stopped the run or a subtree.
        terminates: whether the tasks that run there are to be terminated after commit.
        ended: the final state of the run, if the node's failure has ended it.
        taken: the only child that may start, if the process that finished the node has claimed it.
    """

    dispatches: Iterable[Dispatch] = ()
    runnable: bool = False
    stopped: bool = False
    terminates: bool = False
    settled: bool = False
    ended: RunState | None = None
    taken: Dispatch | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The consequences of settling.

    Attributes:
        dispatches: gather nodes to publish.
        runnable: whether gather nodes became runnable, so that ``advance`` must be called.
        ended: the final state of the run, if it has ended.
        is_sub_run: whether a node of another run may wait for the run that has ended.
        stopped: whether nodes were revoked because more failed than are tolerated; settle the others then.
        terminates_below: the run, or the node with its subtree, whose running tasks are to be terminated then.
    """

    dispatches: tuple[Dispatch, ...] = ()
    runnable: bool = False
    ended: RunState | None = None
    is_sub_run: bool = True
    stopped: bool = False
    terminates_below: UUID | None = None
