"""Copy a run: launch it again as a new run."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop as _

from django_tasktree.builder.template import Template, rebound
from django_tasktree.definitions.launch import prepare
from django_tasktree.dispatch.after_commit import publish_launch_after_commit
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.history import record, user_of
from django_tasktree.engine.lifecycle.launch import launch
from django_tasktree.engine.transitions import nodes, write_alias
from django_tasktree.engine.traversal import in_batches, subtree
from django_tasktree.engine.types import NodeSpec, RunSpec
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import OnFailure, RunWhen


def copy_run(run: TreeRun, params: Mapping[str, Any], by: Any, run_id: UUID | None = None) -> UUID:
    """Launch a copy of a run, and return the ID of the new run.

    A run that was made by a definition is built again by it; the nodes of any other run are copied.

    Args:
        run: the run.
        params: parameters of the definition that get new values.
        by: the user who launches the copy.
        run_id: the ID of the new run; by default a new one.

    Raises:
        NotPossible: parameters were given, but the run has no definition.
        UnknownDefinition, InvalidParameter: see :func:`django_tasktree.definitions.launch.launch_definition`.
    """
    if params and not run.definition:
        raise NotPossible(_("run %(run)s was not made by a definition, so it has no parameters to change"), run=run.id)
    with transaction.atomic(using=write_alias()):
        key = run_id or new_id()
        if run.definition:
            prepare(run.definition, {**run.params, **params}).apply_async(
                launched_by=user_of(by), copy_of=run.id, run_id=key
            )
        else:
            _launch_nodes(run, by, key)
        record(run.id, Action.COPY, by, note=str(key))
        record(key, Action.LAUNCH, by, note=f"copy of {run.id}")
        return key


def _launch_nodes(run: TreeRun, by: Any, key: UUID) -> None:
    spec = RunSpec(
        id=key,
        name=run.name,
        launched_by_id=getattr(user_of(by), "pk", None),
        on_failure=OnFailure(run.on_failure),
        max_active=run.max_active,
        copy_of_id=run.id,
    )
    rows = list(_original_nodes(run.id))
    keys = {run.id: spec.id, **{row.id: new_id() for row in rows}}
    counts: dict[UUID | None, int] = {}
    for row in rows:
        counts[row.parent_id] = counts.get(row.parent_id, 0) + 1
    spec.returns = None if run.returns is None else rebound(run.returns, keys)
    launched = launch(spec, [_copied(row, keys, counts.get(row.id, 0)) for row in rows])
    publish_launch_after_commit(launched)


def _original_nodes(run_id: UUID) -> Iterator[NodeRun]:
    """Yield the nodes that the tree had at its launch, parents first.

    Nodes that were added at run time are left out, with everything below them. IDs are sorted by the time at which they
    were made, so parents come first.
    """
    added_at_runtime = nodes().filter(run_id=run_id, added_at_runtime=True).values_list("id", flat=True)
    added = {key for top in added_at_runtime for key in subtree(run_id, top)}
    keys = nodes().filter(run_id=run_id).order_by("id").values_list("id", flat=True)
    for batch in in_batches(key for key in keys if key not in added):
        yield from nodes().filter(id__in=batch).order_by("id")


def _copied(row: NodeRun, keys: Mapping[UUID, UUID], children: int) -> NodeSpec:
    return NodeSpec(
        id=keys[row.id],
        parent_id=keys[row.parent_id] if row.parent_id else None,
        position=row.position,
        task=row.task,
        args=rebound(row.args, keys) if row.has_references else row.args,
        kwargs=rebound(row.kwargs, keys) if row.has_references else row.kwargs,
        options=row.options,
        has_references=row.has_references,
        run_when=RunWhen(row.run_when),
        is_gather=row.is_gather,
        quorum=row.quorum,
        child_count=children,
        allow_failure=row.allow_failure,
        on_failure=OnFailure(row.on_failure),
        max_active=row.max_active,
        stop_scope_id=keys[row.stop_scope_id] if row.stop_scope_id else None,
        limit_scope_id=keys[row.limit_scope_id] if row.limit_scope_id else None,
        lane=row.lane,
        label=row.label,
        template=None if row.template is None else Template.read(row.template).with_keys(keys).text(),
        tolerated=row.tolerated,
        wait=row.wait,
    )
