"""The node that is running: what a body sees of it, and what it may ask for."""

from typing import Any
from uuid import UUID

from celery.utils.threads import LocalStack

from django_tasktree.engine.specs import NodeError, NodeRef
from django_tasktree.exceptions import NotInANode
from django_tasktree.models import NodeRun
from django_tasktree.nodes import NodeWithOutput

#: A stack, as Celery's own of requests: an eager node may run inside another's body.
_running: Any = LocalStack()


class StopPropagation(Exception):
    """Raised by a body to end its branch: the node succeeds, and nothing below it runs.

    Args:
        result: the node's result.
    """

    def __init__(self, result: Any = None) -> None:
        super().__init__(result)
        self.result = result


class RunningNode(NodeWithOutput):
    """The node whose body is running; what is added to it is inserted with its success, all or nothing.

    Attributes:
        id: the node's key.
        run_id: the run's key.
        parent_id: the parent's key; None for a root node.
        task_id: this attempt's task id.
    """

    def __init__(self, ref: NodeRef) -> None:
        super().__init__()
        self.ref = ref
        self.id: UUID = ref.id
        self.run_id: UUID = ref.run_id
        self.parent_id: UUID | None = ref.parent_id
        self.task_id: UUID = ref.task_id
        #: The message of the retry that the body asked for; sent once the move to RETRY is committed.
        self.retry_signature: Any = None
        #: Why it asked for it.
        self.retry_error: NodeError | None = None
        #: Whether the task function has returned: what fails after that is no error of its own.
        self.has_returned = False
        #: The columns of the row that the retry changes.
        self.retry_arguments: dict[str, Any] = {}

    @property
    def row(self) -> NodeRun:
        """The node's row, read anew."""
        row: NodeRun = NodeRun.objects.get(id=self.id)
        return row

    def __enter__(self) -> "RunningNode":
        _running.push(self)
        return self

    def __exit__(self, *_exc: object) -> None:
        _running.pop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


def current_node() -> RunningNode:
    """Give the node whose body is running in this thread.

    Raises:
        NotInANode: the task was not started by a tree.
    """
    node = running_node()
    if node is None:
        raise NotInANode("no node of a tree is running here: was the task called directly, or without a tree?")
    return node


def running_node() -> RunningNode | None:
    """Give the node whose body is running in this thread, if there is one."""
    node: RunningNode | None = _running.top
    return node
