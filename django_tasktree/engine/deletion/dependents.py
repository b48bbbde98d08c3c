"""Apply the ``on_delete`` of other apps' foreign keys to this app's rows when these are deleted.

By itself, Django's collector would also follow the references between nodes, one level of the tree at a time, and load
every node. Here it only receives the references from other apps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from django.db import models, router
from django.db.models import PROTECT, RestrictedError, deletion
from django.db.models.deletion import CASCADE, DO_NOTHING, Collector
from django.db.models.signals import post_delete, pre_delete

from django_tasktree.engine.transitions import write_alias
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, RunEvent, TreeRun

#: The models whose rows are deleted with a run -> the lookup from each to the IDs of runs.
OF_RUNS: Mapping[type[models.Model], str] = {
    TreeRun: "pk",
    NodeRun: "run",
    NodeAttempt: "node__run",
    HistoryEntry: "run",
    RunEvent: "run",
}
#: The models whose rows are deleted with a node -> the lookup from each to the IDs of nodes.
OF_NODES: Mapping[type[models.Model], str] = {NodeRun: "pk", NodeAttempt: "node"}

#: The values of ``on_delete`` that the collector ignores. Since Django 6.1 the database may carry out some of them.
_LEFT_TO_THE_DATABASE = getattr(deletion, "SKIP_COLLECTION", frozenset({DO_NOTHING}))


class Dependents:
    """The rows of other apps that refer to runs or nodes.

    Args:
        paths: ``OF_RUNS`` or ``OF_NODES``.
        keys: the IDs of the runs or nodes to delete.
    """

    def __init__(self, paths: Mapping[type[models.Model], str], keys: Sequence[UUID]) -> None:
        self._alias = write_alias()
        self._keys = keys
        self._references = [
            (field, f"{field.name}__{path}")
            for model, path in paths.items()
            for field in _references_to(model, self._alias)
        ]

    def protected(self) -> dict[UUID, str]:
        """Find the runs or nodes that ``on_delete=PROTECT`` keeps, in one query for each field with PROTECT.

        Returns:
            ID of a run or node -> the name of a field that refers to it, as ``app.Model.field``.
        """
        found: dict[UUID, str] = {}
        for field, path in self._references:
            if field.remote_field.on_delete is PROTECT:
                rows = self._rows(field, path).order_by().values_list(path, flat=True).distinct()
                found |= dict.fromkeys(rows, f"{field.model._meta.label}.{field.name}")
        return found

    def collect(self) -> Collector:
        """Collect the deletions and updates that ``on_delete`` requires; the collector's ``delete()`` executes them.

        Rows without receivers of signals and without references to them are not loaded.

        Raises:
            ProtectedError, RestrictedError: if a foreign key prevents the deletion.
        """
        collector = Collector(using=self._alias)
        for field, path in self._references:
            self._collect(collector, field, path)
        _check_restricted(collector)
        return collector

    def collect_counts(self) -> dict[type[models.Model], int]:
        """Count the rows of other apps that would be deleted, by their model.

        Raises:
            ProtectedError, RestrictedError: if a foreign key prevents the deletion.
        """
        collector: Any = self.collect()
        counts = Counter({model: len(instances) for model, instances in collector.data.items()})
        for rows in collector.fast_deletes:
            counts[rows.model] += rows.count()
        return dict(+counts)

    def _collect(self, collector: Any, field: Any, path: str) -> None:
        rows = self._rows(field, path)
        on_delete = field.remote_field.on_delete
        if getattr(field.remote_field, "parent_link", False):
            # Rows of a model that inherits from one of ours. Without keep_parents, Django would delete our rows with
            # them, before the nodes of a run.
            collector.collect(rows, keep_parents=True, fail_on_restricted=False)
        elif on_delete is CASCADE and collector.can_fast_delete(field.model, from_field=field):
            collector.fast_deletes.append(rows)
        elif getattr(on_delete, "lazy_sub_objs", False) or rows:
            on_delete(collector, field, rows, self._alias)

    def _rows(self, field: Any, path: str) -> Any:
        return field.model._base_manager.using(self._alias).filter(**{f"{path}__in": self._keys})


def models_that_go_with_runs() -> set[type[models.Model]]:
    """Return the other apps' models whose rows may be deleted with a run, because of ``on_delete=CASCADE``."""
    alias = write_alias()
    found: set[type[models.Model]] = set()
    rest: list[type[models.Model]] = [*OF_RUNS]
    while rest:
        for field in _references_to(rest.pop(), alias):
            model = field.model
            if field.remote_field.on_delete is CASCADE and model not in found and model not in OF_RUNS:
                found.add(model)
                rest.append(model)
    return found


@contextmanager
def announced(rows: Any) -> Iterator[None]:
    """Send ``pre_delete`` and ``post_delete`` for rows that the block deletes.

    Args:
        rows: the queryset of these rows; it is evaluated only if a signal has receivers.
    """
    model = rows.model
    has_receivers = pre_delete.has_listeners(model) or post_delete.has_listeners(model)
    instances = list(rows) if has_receivers else []
    for instance in instances:
        pre_delete.send(sender=model, instance=instance, using=rows.db, origin=rows)
    yield
    for instance in instances:
        post_delete.send(sender=model, instance=instance, using=rows.db, origin=rows)


def _references_to(model: type[models.Model], alias: str) -> list[Any]:
    """Return the foreign keys from other apps' models to a model whose ``on_delete`` Django carries out.

    Args:
        model: the model that they refer to.
        alias: the database; models whose tables are not in it are left out.
    """
    relations: Iterator[Any] = (
        relation
        for relation in cast("Any", model._meta).get_fields(include_hidden=True)
        if relation.auto_created and not relation.concrete and (relation.one_to_one or relation.one_to_many)
    )
    return [
        relation.field
        for relation in relations
        if relation.related_model not in OF_RUNS
        and relation.field.remote_field.on_delete not in _LEFT_TO_THE_DATABASE
        and router.allow_migrate_model(alias, relation.related_model)
    ]


def _check_restricted(collector: Any) -> None:
    """Check ``on_delete=RESTRICT`` as Django's collector does after it has collected everything.

    Raises:
        RestrictedError: if rows that refer by RESTRICT are not deleted themselves.
    """
    for model, instances in collector.data.items():
        collector.clear_restricted_objects_from_set(model, instances)
    for rows in collector.fast_deletes:
        collector.clear_restricted_objects_from_queryset(rows.model, rows)
    kept = {
        f"{model._meta.label}.{field.name}": rows
        for model, fields in collector.restricted_objects.items()
        for field, rows in fields.items()
        if rows
    }
    if kept:
        raise RestrictedError(
            f"rows are kept because they are referenced through restricted foreign keys: {', '.join(kept)}",
            {row for rows in kept.values() for row in rows},
        )
