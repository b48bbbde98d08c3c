"""The pages of Django's admin: runs, their nodes, and launching trees. They show; only a launch changes anything."""

from django_tasktree.admin.node_run import NodeRunAdmin
from django_tasktree.admin.tree_run import TreeRunAdmin

__all__ = ["NodeRunAdmin", "TreeRunAdmin"]
