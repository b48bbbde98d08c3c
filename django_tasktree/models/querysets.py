"""Querysets and managers with the reads that several packages share."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connections, models, router
from django.db.models import Count, Q

from django_tasktree.states import RUN_FINAL

if TYPE_CHECKING:
    from django_tasktree.models.node_run import NodeRun  # noqa: F401  named in a base class, as text
    from django_tasktree.models.tree_run import TreeRun  # noqa: F401
    from django_tasktree.models.worker import Worker  # noqa: F401


def has_id(key: UUID) -> Q:
    """Return the condition that a node, or its current attempt, has an ID.

    Args:
        key: the ID of a node, or a task ID.
    """
    return Q(id=key) | Q(task_id=key)


class TreeRunQuerySet(models.QuerySet["TreeRun"]):
    """A queryset of runs."""

    def not_ended(self) -> "TreeRunQuerySet":
        """Return the runs that have not ended, including drafts."""
        return self.exclude(state__in=RUN_FINAL)


class NodeRunQuerySet(models.QuerySet["NodeRun"]):
    """A queryset of nodes."""

    #: Whether the rows are root nodes of one run.
    _of_roots = False

    def under(self, run_id: UUID, parent_id: UUID | None) -> "NodeRunQuerySet":
        """Return the children of a node, unordered.

        Args:
            run_id: the run.
            parent_id: the node; None returns the root nodes of the run.
        """
        if parent_id is None:
            roots = self.filter(parent__isnull=True, run_id=run_id)
            roots._of_roots = True
            return roots
        return self.filter(parent_id=parent_id, run_id=run_id)

    def in_order(self) -> "NodeRunQuerySet":
        """Return siblings in the order in which they were defined.

        PostgreSQL only reads root nodes from the index in this order if ORDER BY contains the parent, which is NULL;
        MariaDB and MySQL only if it does not.
        """
        if self._of_roots and connections[self.db].vendor == "mysql":
            return self.order_by("position")
        return self.order_by("parent_id", "position")

    def last_position(self, run_id: UUID, parent_id: UUID | None) -> int | None:
        """Return the position of the last child of a node, from the index; None if there are no children.

        Args:
            run_id: the run.
            parent_id: the node; None: the root nodes of the run.
        """
        last = self.under(run_id, parent_id).in_order().reverse()
        return last.values_list("position", flat=True).first()

    def root_count(self, run_id: UUID) -> int:
        """Return the number of root nodes of a run, which are never deleted one by one, without counting them."""
        last = self.last_position(run_id, None)
        return 0 if last is None else last + 1

    def _clone(self) -> "NodeRunQuerySet":
        clone: NodeRunQuerySet = super()._clone()  # type: ignore[misc]
        clone._of_roots = self._of_roots
        return clone

    def state_counts(self, run_ids: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
        """Count the nodes of runs by state, in one query.

        Args:
            run_ids: the IDs of the runs.

        Returns:
            ID of the run -> state -> number of nodes, without states that have no nodes.
        """
        counts: dict[UUID, dict[str, int]] = {run_id: {} for run_id in run_ids}
        rows: Any = self.filter(run_id__in=counts).order_by().values_list("run_id", "state").annotate(n=Count("*"))
        for run_id, state, number in rows:
            counts[run_id][state] = number
        return counts


class WorkerQuerySet(models.QuerySet["Worker"]):
    """A queryset of workers."""

    def seen_since(self, moment: datetime) -> "WorkerQuerySet":
        """Return the workers whose last heartbeat was after a point in time.

        Args:
            moment: a time of the database's clock.
        """
        return self.filter(last_seen__gt=moment)


class _OneDatabase(models.Manager[Any]):
    """A manager that reads from the database to which the engine writes: a replica may not have a new run yet."""

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        return rows if self._db else rows.using(router.db_for_write(self.model))


TreeRunManager = _OneDatabase.from_queryset(TreeRunQuerySet)
NodeRunManager = _OneDatabase.from_queryset(NodeRunQuerySet)
WorkerManager = _OneDatabase.from_queryset(WorkerQuerySet)
