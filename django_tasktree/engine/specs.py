"""What goes into the engine and comes out of it: plain values, no rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django_tasktree import times
from django_tasktree.identifiers import new_id
from django_tasktree.states import NodeState, OnFailure, RunState, RunWhen
from django_tasktree.text import LONG_NAME_LENGTH, NAME_LENGTH, check_json, check_storable, storable


@dataclass(frozen=True, slots=True)
class Place:
    """Where nodes go.

    Attributes:
        run_id: the run.
        parent_id: the parent; None for root nodes.
        first_position: the position of the first of them.
        stops: what is revoked if one of them fails: the run, or a node with its subtree.
        limiter: the run or the node whose limit they count towards.
    """

    run_id: UUID
    parent_id: UUID | None = None
    first_position: int = 0
    stops: UUID | None = None
    limiter: UUID | None = None


@dataclass(slots=True)
class NodeSpec:
    """A node that is to be inserted; texts as ``serialization`` writes them."""

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
    stops: UUID | None = None
    limiter: UUID | None = None


@dataclass(slots=True)
class RunSpec:
    """A run that is to be inserted.

    Attributes:
        draft: whether it waits to be launched, by somebody or when ``eta`` comes.

    Raises:
        InvalidText: a text is too long, or can't be stored.
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

    def __post_init__(self) -> None:
        """Refuse what some database can't store, before anything is written."""
        self.name = check_storable("the name of the run", str(self.name), NAME_LENGTH)
        self.definition = check_storable("the name of the definition", str(self.definition), NAME_LENGTH)
        if self.key is not None:
            self.key = check_storable("the key of the run", str(self.key), NAME_LENGTH)
        for name, value in self.params.items():
            check_json(f"the parameter {name!r} of the run", {name: value})


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A queued node, with all that its message needs."""

    id: UUID
    run_id: UUID
    parent_id: UUID | None
    task_id: UUID
    task: str
    args: str
    kwargs: str
    options: str
    has_references: bool
    child_count: int
    stops: UUID | None = None
    limiter: UUID | None = None
    max_active: int | None = None
    retries: int = 0
    eta: datetime | None = None


#: The columns of a node's row that make a :class:`Dispatch`, in the order of its attributes.
DISPATCH_COLUMNS = tuple(field.name for field in fields(Dispatch))


@dataclass(frozen=True, slots=True)
class NodeRef:
    """One attempt at a node, as its message names it; ``task_id`` is the fencing token."""

    id: UUID
    run_id: UUID
    parent_id: UUID | None
    task_id: UUID
    child_count: int
    stops: UUID | None = None
    limiter: UUID | None = None
    max_active: int | None = None


@dataclass(frozen=True, slots=True)
class NodeError:
    """Why an attempt failed, as every database can store it.

    Attributes:
        type: the dotted name of the exception's type.
        message: its text.
        args: its arguments, as text that ``serialization`` writes.
        traceback: the formatted traceback.
    """

    type: str
    message: str
    args: str = ""
    traceback: str = ""

    def __post_init__(self) -> None:
        """Make the texts storable: an error must never be replaced by one about its own text."""
        object.__setattr__(self, "type", storable(self.type, LONG_NAME_LENGTH))
        object.__setattr__(self, "message", storable(self.message))
        object.__setattr__(self, "traceback", storable(self.traceback))

    def in_ascii(self) -> "NodeError":
        """Return the error with all that is not ASCII escaped, for a database whose encoding lacks a character."""
        texts = (self.type, self.message, self.args, self.traceback)
        return NodeError(*(text.encode("ascii", "backslashreplace").decode("ascii") for text in texts))


@dataclass(frozen=True, slots=True)
class Beside:
    """A row of another app's table that is written with a node's outcome, in the same statement where possible.

    Attributes:
        insert: ``INSERT INTO table (columns)``.
        values: for each column what the database's driver takes.
        on_conflict: what follows the values.
    """

    insert: str
    values: tuple[Any, ...]
    on_conflict: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        state: SUCCESS, FAILURE, REVOKED or SKIPPED.
        result: the result's text.
        error: why it failed.
        stop: whether a success lets nothing below it run.
        added: nodes that the body added; inserted together with the outcome.
        beside: a row that is written if, and only if, the outcome is.
        at: when; by this a try whose answer was lost is told from others.
    """

    state: NodeState
    result: str | None = None
    error: NodeError | None = None
    stop: bool = False
    added: tuple[NodeSpec, ...] = ()
    beside: Beside | None = None
    at: datetime = field(default_factory=times.now)


@dataclass(frozen=True, slots=True)
class Effect:
    """What steering a run does, or would do.

    Attributes:
        again: nodes that failed, were revoked or not reached, or had succeeded, and run again.
        revoked: nodes that never start.
        held: nodes that are held back, or no longer are.
        removed: nodes that a body had added, and will add again.
        stays: nodes that have succeeded and stay as they are.
        running: bodies that are running at this moment; they go on, unless they are terminated.
    """

    again: int = 0
    revoked: int = 0
    held: int = 0
    removed: int = 0
    stays: int = 0
    running: int = 0

    @property
    def moved(self) -> int:
        """How many nodes are concerned."""
        return self.again + self.revoked + self.held + self.removed


@dataclass(frozen=True, slots=True)
class Launched:
    """What a launch did: ``created`` is False where the key's run existed already."""

    run_id: UUID
    created: bool
    dispatches: Iterable[Dispatch] = ()
    ready: bool = False
    ended: RunState | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """What a node's end set free.

    Attributes:
        dispatches: nodes that were queued, to be published after commit.
        ready: whether others became ready, so that ``advance`` is to be called after commit.
        settled: whether the node has settled already, as nothing stands below it.
        stopped: whether the node's failure has stopped the run, or a subtree.
        ended: the run's final state, where the node's failure has ended it.
    """

    dispatches: Iterable[Dispatch] = ()
    ready: bool = False
    stopped: bool = False
    settled: bool = False
    ended: RunState | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling led to: gather nodes to publish, or that became ready, or the end of the run."""

    dispatches: tuple[Dispatch, ...] = ()
    ready: bool = False
    ended: RunState | None = None
