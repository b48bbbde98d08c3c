"""The node whose task function is running, and the task function's access to it: :func:`current_node`."""

from typing import Any
from uuid import UUID

from celery.utils.threads import LocalStack

from django_tasktree.builder.nodes import NodeWithOutput
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.types import NodeRef
from django_tasktree.exceptions import NotInANode
from django_tasktree.models import NodeRun

#: A stack for each thread or greenlet, like Celery's stack of requests: an eager node may run inside another node's
#: task function.
_running: Any = LocalStack()


class RunningNode(NodeWithOutput[Any]):
    """The node whose task function is running.

    Nodes that are added to it are inserted in the transaction that stores its success, or not at all.

    Attributes:
        id: the node's ID.
        run_id: the run's ID.
        parent_id: the parent's ID; None for a root node.
        task_id: the task ID of this attempt.
    """

    def __init__(self, ref: NodeRef) -> None:
        super().__init__()
        self.ref = ref
        self.id: UUID = ref.id
        self.run_id: UUID = ref.run_id
        self.parent_id: UUID | None = ref.parent_id
        self.task_id: UUID = ref.task_id
        #: The signature of the retry that the task function requested; sent after the commit of the state RETRY.
        self.retry_signature: Any = None
        #: The exception that the task function passed to ``retry()``.
        self.retry_error: NodeError | None = None
        #: Whether the task function has returned; later errors are not its own.
        self.has_returned = False
        #: The columns of the row that ``retry(args=…, kwargs=…)`` changes.
        self.retry_arguments: dict[str, Any] = {}
        #: The options that the task function passed to ``retry()``.
        self.retry_options: dict[str, Any] = {}
        #: Whether the task function runs for the other nodes of a chunk too.
        self.is_one_of_many = False

    @property
    def row(self) -> NodeRun:
        """The node's row, read from the database at each access."""
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
    """Return the node whose :term:`task function` is running in this thread.

    .. code-block:: python

        @task_with_callbacks
        def split(path):
            for part in parts_of(path):
                current_node().add_task(convert, [part])

    Raises:
        NotInANode: if no node is running here: the task was called directly, or sent without a tree; or if the task
            has ``chunk``, so that its function runs for several nodes.
    """
    node = running_node()
    if node is None:
        raise NotInANode("no node of a tree is running here: was the task called directly, or without a tree?")
    if node.is_one_of_many:
        raise NotInANode("a task function with chunk= runs for several nodes at once: there is no current node")
    return node


def running_node() -> RunningNode | None:
    """Return the node whose task function is running in this thread; None if there is none."""
    node: RunningNode | None = _running.top
    return node
