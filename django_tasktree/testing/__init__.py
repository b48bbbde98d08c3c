"""Tools for the tests of projects: run a tree in this process, without a broker or a worker; register definitions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_tasktree.client.tree import TaskTree
    from django_tasktree.client.tree_result import TreeResult
    from django_tasktree.definitions.definition import Definition

__all__ = ["registered", "run_tree"]


@contextmanager
def registered(*functions: Callable[..., Any], only: bool = False) -> "Iterator[tuple[Definition[Any], ...]]":
    """Register definitions during a ``with`` block, or during the calls of a function that this decorates.

    At the end, other definitions that were registered in the block are removed too.

    Args:
        functions: functions that build trees, each registered under its own name with dashes instead of underscores; or
            definitions, such as ``Definition("name", function)``. They replace definitions of the project with the same
            names.
        only: whether to hide the other definitions of the project.

    Yields:
        The definitions, in the order of the functions.

    Raises:
        InvalidDefinition: two of the functions have the same name.
    """
    from django_tasktree.definitions.definition import Definition
    from django_tasktree.definitions.registry import Registry, registry

    own = Registry()
    added = tuple(
        own.add(each, each.name, each.description) if isinstance(each, Definition) else own.add(each)
        for each in functions
    )
    with registry.changed(added, only=only):
        yield added


def run_tree(
    tree: "TaskTree | str", params: Mapping[str, Any] | None = None, *, key: str | None = None, launched_by: Any = None
) -> "TreeResult":
    """Launch a tree, and run its nodes, and everything that their task functions launch, in this process.

    .. code-block:: python

        result = run_tree("daily-orders", {"day": date(2030, 1, 31)})
        assert result.state == "SUCCESS"

    Rows, states and results are those that workers would write. Delays are skipped: a retry and a node with a
    ``countdown`` run at once. Inside a transaction, such as that of a ``TestCase``, callbacks that task functions pass
    to ``transaction.on_commit`` are called without a commit.

    Args:
        tree: the tree, or the name of a definition.
        params: the parameters of the definition.
        key: makes the launch idempotent: if a run with this key exists, its handle is returned.
        launched_by: the user who launches the tree.

    Returns:
        The handle of the run, which has ended. A failed node raises no exception; its row has the error.

    Raises:
        TypeError: if ``params`` are passed with a tree instead of a name.
        Exception: any exception of the launch; see :func:`django_tasktree.definitions.launch.launch_definition` and
            :meth:`TaskTree.apply_async`.
    """
    # pytest imports plugins, and with them this module, before Django's settings are configured.
    from django_tasktree.definitions.launch import launch_definition
    from django_tasktree.dispatch import eager

    if params is not None and not isinstance(tree, str):
        raise TypeError("params are those of a definition: pass its name instead of a tree, or leave params out")
    with eager.in_process():
        if isinstance(tree, str):
            return launch_definition(tree, params, key=key, launched_by=launched_by)
        return tree.apply_async(key=key, launched_by=launched_by)
