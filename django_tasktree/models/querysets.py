"""Reads that the engine, the handles and the faces share."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models, router
from django.db.models import Count

from django_tasktree.states import NODE_FINAL, RUN_FINAL

if TYPE_CHECKING:
    from django_tasktree.models.node_run import NodeRun  # noqa: F401  named in a base class, as text
    from django_tasktree.models.tree_run import TreeRun  # noqa: F401
    from django_tasktree.models.worker import Worker  # noqa: F401


class TreeRunQuerySet(models.QuerySet["TreeRun"]):
    """Reads of runs."""

    def open(self) -> "TreeRunQuerySet":
        """Runs that have not ended."""
        return self.exclude(state__in=RUN_FINAL)


class NodeRunQuerySet(models.QuerySet["NodeRun"]):
    """Reads of nodes."""

    def under(self, run_id: UUID, parent_id: UUID | None) -> "NodeRunQuerySet":
        """The nodes directly under a node, or under the run itself where ``parent_id`` is None, unordered."""
        if parent_id is None:
            return self.filter(parent__isnull=True, run_id=run_id)
        return self.filter(parent_id=parent_id, run_id=run_id)

    def in_order(self) -> "NodeRunQuerySet":
        """Siblings in the order of their definition.

        PostgreSQL reads root nodes in this order from the index only where the parent, NULL there, is named too.
        """
        return self.order_by("parent_id", "position")

    def final(self) -> "NodeRunQuerySet":
        """Nodes that have ended."""
        return self.filter(state__in=NODE_FINAL)

    def state_counts(self, run_ids: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
        """Count the nodes of runs by state, in one query.

        Returns:
            run key -> state -> number of nodes; states without nodes are left out.
        """
        counts: dict[UUID, dict[str, int]] = {run_id: {} for run_id in run_ids}
        rows: Any = self.filter(run_id__in=counts).order_by().values_list("run_id", "state").annotate(n=Count("*"))
        for run_id, state, number in rows:
            counts[run_id][state] = number
        return counts


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Reads of workers."""

    def seen_since(self, moment: datetime) -> "WorkerQuerySet":
        """Workers that have given a sign of life since then, by the database's clock."""
        return self.filter(last_seen__gt=moment)


class _OneDatabase(models.Manager[Any]):
    """Reads where the engine writes: a replica that lags behind would tell a caller that its own run does not exist."""

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        return rows if self._db else rows.using(router.db_for_write(self.model))


TreeRunManager = _OneDatabase.from_queryset(TreeRunQuerySet)
NodeRunManager = _OneDatabase.from_queryset(NodeRunQuerySet)
WorkerManager = _OneDatabase.from_queryset(WorkerQuerySet)
