"""Trees of Celery tasks that live in your Django database.

The public names load on first use, so that importing this package before Django's app registry is ready works.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_tasktree.builder.nodes import MapNode as MapNode
    from django_tasktree.builder.nodes import TaskTreeNode as TaskTreeNode
    from django_tasktree.client.bulk import bulk as bulk
    from django_tasktree.client.decorators import run_with_callbacks as run_with_callbacks
    from django_tasktree.client.decorators import task_with_callbacks as task_with_callbacks
    from django_tasktree.client.node_result import NodeResult as NodeResult
    from django_tasktree.client.task import CallbackTask as CallbackTask
    from django_tasktree.client.tree import TaskTree as TaskTree
    from django_tasktree.client.tree_result import TreeResult as TreeResult
    from django_tasktree.client.tree_result import join_tree as join_tree
    from django_tasktree.definitions.registry import register_tree as register_tree
    from django_tasktree.encoding.items import ITEM as ITEM
    from django_tasktree.exceptions import StopPropagation as StopPropagation
    from django_tasktree.worker.context import current_node as current_node

__version__ = "0.1.0.dev0"

_HOME = {
    "bulk": "django_tasktree.client.bulk",
    "CallbackTask": "django_tasktree.client.task",
    "ITEM": "django_tasktree.encoding.items",
    "MapNode": "django_tasktree.builder.nodes",
    "NodeResult": "django_tasktree.client.node_result",
    "StopPropagation": "django_tasktree.exceptions",
    "TaskTree": "django_tasktree.client.tree",
    "TaskTreeNode": "django_tasktree.builder.nodes",
    "TreeResult": "django_tasktree.client.tree_result",
    "current_node": "django_tasktree.worker.context",
    "join_tree": "django_tasktree.client.tree_result",
    "register_tree": "django_tasktree.definitions.registry",
    "run_with_callbacks": "django_tasktree.client.decorators",
    "task_with_callbacks": "django_tasktree.client.decorators",
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
