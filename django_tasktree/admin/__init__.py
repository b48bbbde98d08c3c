"""Pages in Django's admin that show runs and nodes, launch trees and offer the actions of ``control``."""

from django_tasktree.admin.events import RunEventAdmin
from django_tasktree.admin.nodes import NodeRunAdmin
from django_tasktree.admin.runs import TreeRunAdmin

__all__ = ["NodeRunAdmin", "RunEventAdmin", "TreeRunAdmin"]
