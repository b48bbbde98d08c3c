"""A tree that is being built: a plain Python object, without a database."""

from typing import TYPE_CHECKING, Any, TypeVar

from django_tasktree.builder.calls import check_choice, check_limit
from django_tasktree.builder.canvas import import_canvas
from django_tasktree.builder.nodes import NodeParent, TaskTreeNode
from django_tasktree.encoding.text import NAME_LENGTH, check_storable, short_name, storable
from django_tasktree.exceptions import InvalidOption
from django_tasktree.states import OnFailure, RunWhen
from django_tasktree.types import OnFailureOption, TreeOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Maximum number of tasks in the name of a tree that has no name of its own.
_NAMED = 3

T = TypeVar("T", bound="Tree")


class Tree(NodeParent):
    """A tree with its options and its definition. Its subclass :class:`django_tasktree.TaskTree` can be launched."""

    def __init__(
        self, name: str = "", *, on_failure: OnFailureOption = "continue", max_active: int | None = None
    ) -> None:
        super().__init__()
        check_choice("on_failure", on_failure, OnFailure)
        check_limit(max_active)
        self.name = check_storable("the name of the tree", str(name), NAME_LENGTH)
        self.on_failure = on_failure
        self.max_active = max_active
        self.definition = ""
        self.params: dict[str, Any] = {}
        #: What :meth:`returns` was called with: one value, or none.
        self.returned: tuple[Any, ...] = ()
        #: Whether the result is that of a canvas, which is left out if it is too large to be stored.
        self.returns_canvas = False

    @property
    def run_name(self) -> str:
        """The default name of its runs: its own name, or that of its definition, or those of its root nodes' tasks."""
        return self.name or self.definition or _names_of(self.children)

    def returns(self, value: Any) -> None:
        """Declare the result of the tree's runs, which :meth:`django_tasktree.TreeResult.value` returns.

        Example::

            orders = tree.add_task(fetch_orders, label="orders")
            total = tree.gather(add_up, [tree.outputs])
            tree.returns({"total": total.output, "first": orders.output[0]})

        Args:
            value: an output of a node, or any value that can be an argument of a node, with outputs inside. Calling
                this again replaces the value.
        """
        self.returned, self.returns_canvas = (value,), False

    @classmethod
    def from_canvas(cls: type[T], signature: Any, name: str = "", **options: "Unpack[TreeOptions]") -> T:
        """Return a new tree that does the same as a Celery canvas, and has the same result.

        The runs have no result if it contains so many outputs that it exceeds the setting ``MAX_ARGS_SIZE``: a group of
        more than about 10,000 chains, for example.

        Example::

            tree = TaskTree.from_canvas(chord([count.s(1), count.s(2)], add_up.s()))

        Args:
            signature: a chain, group, chord, chunks, starmap or map, nested in any way, a single signature, or the dict
                of one of them, as read from JSON. It is not changed, but generators in it are consumed.
            name: see :class:`django_tasktree.TaskTree`.
            **options: see :class:`django_tasktree.TaskTree`.

        Raises:
            UnsupportedCanvas: a tree can't represent a part of the canvas. No part is changed or dropped silently.
            TaskNotSupported, UnknownTask, TypeError: see :meth:`add_task`.
        """
        tree = cls(name, **options)
        tree.returns(import_canvas(tree, signature))
        tree.returns_canvas = True
        return tree

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, root nodes: {len(self.children)}>"

    def _place(self, node: TaskTreeNode[Any], label: str | None) -> TaskTreeNode[Any]:
        if node.rules.run_when == RunWhen.FAILURE and not node.rules.is_gather:
            raise InvalidOption("run_when='failure' never fits a root node: nothing comes before it that could fail")
        return super()._place(node, label)


def _names_of(nodes: list[TaskTreeNode[Any]]) -> str:
    """Return a name for a tree, made of the tasks of its root nodes."""
    names = list(dict.fromkeys(short_name(node.task) for node in nodes if isinstance(node, TaskTreeNode)))
    text = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return storable(text, NAME_LENGTH) if names else "empty tree"
