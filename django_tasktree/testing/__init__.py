"""For your own tests: run a tree in this process, with no broker and no worker, also inside a ``TestCase``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_tasktree.result import TreeResult
    from django_tasktree.tree import TaskTree

__all__ = ["run_tree"]


def run_tree(
    tree: "TaskTree | str", params: Mapping[str, Any] | None = None, *, key: str | None = None, launched_by: Any = None
) -> "TreeResult":
    """Launch a tree and run all of its nodes, and whatever their bodies launch, in this process.

    Rows, states and results are those that workers would write. Delays are not waited for: a node with a ``countdown``,
    and a retry, run at once. Inside a transaction, such as that of a ``TestCase``, what bodies give to
    ``transaction.on_commit`` is run as if it had been committed.

    Args:
        tree: the tree, or the name of a definition.
        params: the parameters of a definition.
        key: makes the launch idempotent: the same key gives the run that exists.
        launched_by: the user who launches it.

    Returns:
        The handle of the run, which has ended. A failed node raises nothing: its row has the error.

    Raises:
        TypeError: ``params`` were given with a tree that is built already.
        Exception: what the launch raises; see :func:`django_tasktree.launching.launch_definition` and
            :meth:`TaskTree.apply_async`.
    """
    # pytest imports plugins, and with them this module, before Django's settings are there.
    from django_tasktree.launching import launch_definition
    from django_tasktree.worker import eager

    if params is not None and not isinstance(tree, str):
        raise TypeError("params are those of a definition, which is given by its name; this tree is built already")
    with eager.in_process():
        if isinstance(tree, str):
            return launch_definition(tree, params, key=key, launched_by=launched_by)
        return tree.apply_async(key=key, launched_by=launched_by)
