"""Launch a run once more, as a new run."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop as _

from django_tasktree import serialization
from django_tasktree.engine.history import record
from django_tasktree.engine.launch import launch
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.specs import NodeSpec, RunSpec
from django_tasktree.engine.subtree import in_batches, subtree
from django_tasktree.exceptions import NotPossible
from django_tasktree.identifiers import new_id
from django_tasktree.launching import prepare
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.nested import replace
from django_tasktree.references import Reference
from django_tasktree.result import TreeResult
from django_tasktree.states import OnFailure, RunWhen
from django_tasktree.worker.follow import launched_after_commit


def copy_run(run: TreeRun, params: Mapping[str, Any], by: Any) -> TreeResult:
    """Launch a run once more: from its definition, or node by node where it has none.

    Args:
        run: the run.
        params: parameters of the definition that are to have other values.
        by: who launches it.

    Raises:
        NotPossible: parameters were given, but the run has no definition.
        UnknownDefinition, InvalidParameter: see :func:`django_tasktree.launching.launch_definition`.
    """
    if params and not run.definition:
        raise NotPossible(_("run %(run)s was not made by a definition, so it has no parameters to change"), run=run.id)
    with transaction.atomic(using=write_alias()):
        copied = _from_definition(run, params, by) if run.definition else _from_nodes(run, by)
        record(run.id, Action.COPY, by, note=str(copied.id))
        return copied


def _from_definition(run: TreeRun, params: Mapping[str, Any], by: Any) -> TreeResult:
    return prepare(run.definition, {**run.params, **params}).apply_async(launched_by=by, copy_of=run.id)


def _from_nodes(run: TreeRun, by: Any) -> TreeResult:
    spec = RunSpec(
        name=run.name,
        launched_by_id=getattr(by, "pk", None),
        on_failure=OnFailure(run.on_failure),
        max_active=run.max_active,
        copy_of_id=run.id,
    )
    rows = list(_kept(run.id))
    keys = {run.id: spec.id, **{row.id: new_id() for row in rows}}
    counts: dict[UUID | None, int] = {}
    for row in rows:
        counts[row.parent_id] = counts.get(row.parent_id, 0) + 1
    launched = launch(spec, [_copied(row, keys, counts.get(row.id, 0)) for row in rows])
    launched_after_commit(launched)
    return TreeResult(launched.run_id)


def _kept(run_id: UUID) -> Iterator[NodeRun]:
    """The nodes that no body added, parents first: an older key is one that was made earlier."""
    grown = nodes().filter(run_id=run_id, grown=True).values_list("id", flat=True)
    dropped = {key for top in grown for key in subtree(run_id, top)}
    keys = nodes().filter(run_id=run_id).order_by("id").values_list("id", flat=True)
    for batch in in_batches(key for key in keys if key not in dropped):
        yield from nodes().filter(id__in=batch).order_by("id")


def _copied(row: NodeRun, keys: Mapping[UUID, UUID], children: int) -> NodeSpec:
    return NodeSpec(
        id=keys[row.id],
        parent_id=keys[row.parent_id] if row.parent_id else None,
        position=row.position,
        task=row.task,
        args=_rebound(row, row.args, keys),
        kwargs=_rebound(row, row.kwargs, keys),
        options=row.options,
        has_references=row.has_references,
        run_when=RunWhen(row.run_when),
        is_gather=row.is_gather,
        child_count=children,
        allow_failure=row.allow_failure,
        on_failure=OnFailure(row.on_failure),
        max_active=row.max_active,
        stops=keys[row.stops] if row.stops else None,
        limiter=keys[row.limiter] if row.limiter else None,
    )


def _rebound(row: NodeRun, text: str, keys: Mapping[UUID, UUID]) -> str:
    """Let references point to the copies."""
    if not row.has_references:
        return text
    value = replace(
        serialization.loads(text),
        Reference,
        lambda reference: Reference(keys[reference.node], reference.kind, reference.path),
    )
    return serialization.dumps(value)
