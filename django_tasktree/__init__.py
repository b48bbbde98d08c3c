"""Trees of Celery tasks that live in your Django database.

The public names load on first use, so that importing this package before Django's app registry is ready works.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_tasktree.bulk_steering import bulk as bulk
    from django_tasktree.nodes import TaskTreeNode as TaskTreeNode
    from django_tasktree.registry import register_tree as register_tree
    from django_tasktree.result import NodeResult as NodeResult
    from django_tasktree.result import TreeResult as TreeResult
    from django_tasktree.result import join_tree as join_tree
    from django_tasktree.tree import TaskTree as TaskTree
    from django_tasktree.worker.context import StopPropagation as StopPropagation
    from django_tasktree.worker.context import current_node as current_node
    from django_tasktree.worker.decorators import run_with_callbacks as run_with_callbacks
    from django_tasktree.worker.decorators import task_with_callbacks as task_with_callbacks
    from django_tasktree.worker.task import CallbackTask as CallbackTask

__version__ = "0.1.0.dev0"

_HOME = {
    "bulk": "django_tasktree.bulk_steering",
    "CallbackTask": "django_tasktree.worker.task",
    "NodeResult": "django_tasktree.result",
    "StopPropagation": "django_tasktree.worker.context",
    "TaskTree": "django_tasktree.tree",
    "TaskTreeNode": "django_tasktree.nodes",
    "TreeResult": "django_tasktree.result",
    "current_node": "django_tasktree.worker.context",
    "join_tree": "django_tasktree.result",
    "register_tree": "django_tasktree.registry",
    "run_with_callbacks": "django_tasktree.worker.decorators",
    "task_with_callbacks": "django_tasktree.worker.decorators",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *_HOME})
