"""Tables: runs, their nodes and counts of these, events, earlier attempts, the history, workers and leases.

The models only read; ``django_tasktree.engine`` writes states.
"""

from django_tasktree.models.history_entry import HistoryEntry
from django_tasktree.models.lease import Lease
from django_tasktree.models.node_attempt import NodeAttempt
from django_tasktree.models.node_counts import NodeCounts
from django_tasktree.models.node_run import NodeRun
from django_tasktree.models.run_event import RunEvent
from django_tasktree.models.tree_run import TreeRun
from django_tasktree.models.worker import Worker

__all__ = ["HistoryEntry", "Lease", "NodeAttempt", "NodeCounts", "NodeRun", "RunEvent", "TreeRun", "Worker"]
