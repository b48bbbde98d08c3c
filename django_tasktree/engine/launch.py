"""launch: a run and its nodes are inserted in one transaction, the root nodes queued."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from django_tasktree import times
from django_tasktree.engine.insert import insert_nodes
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.settle import settle_run
from django_tasktree.engine.specs import Dispatch, Launched, NodeSpec, RunSpec
from django_tasktree.exceptions import KeyInUse
from django_tasktree.models import TreeRun
from django_tasktree.states import NodeState, RunState

#: Of so many root nodes are the tasks compared.
_COMPARED = 10


def launch(run_spec: RunSpec, specs: Sequence[NodeSpec]) -> Launched:
    """Persist a run and queue its root nodes; those of a draft, or of a run with a limit, become ready instead.

    Args:
        run_spec: what is launched; its ``key``, where given, makes the launch idempotent.
        specs: the nodes, each parent before its children.

    Returns:
        The run's key and the root nodes to publish once the caller's transaction, if any, has committed.

    Raises:
        KeyInUse: the key belongs to a run of something else.
    """
    existing = _find(run_spec, specs)
    if existing is not None:
        return Launched(existing, created=False)
    try:
        with transaction.atomic(using=write_alias()):
            return _insert(run_spec, specs)
    except IntegrityError:
        # Another launch with this key has committed in the meantime; anything else is not ours to explain.
        existing = _find(run_spec, specs)
        if existing is None:
            raise
        return Launched(existing, created=False)


def _insert(run_spec: RunSpec, specs: Sequence[NodeSpec]) -> Launched:
    now = times.now()
    run = TreeRun.objects.using(write_alias()).create(
        id=run_spec.id,
        name=run_spec.name,
        definition=run_spec.definition,
        params=run_spec.params,
        key=run_spec.key,
        launched_by_id=run_spec.launched_by_id,
        on_failure=run_spec.on_failure,
        max_active=run_spec.max_active,
        eta=run_spec.eta,
        deadline=run_spec.deadline,
        copy_of_id=run_spec.copy_of_id,
        state=RunState.DRAFT if run_spec.draft else RunState.STARTED,
        created_at=now,
        started_at=None if run_spec.draft else now,
    )
    waits = run_spec.draft or run_spec.max_active is not None
    insert_nodes(run.id, specs, roots=NodeState.PENDING if waits else NodeState.QUEUED, roots_ready=waits)
    roots = [spec for spec in specs if spec.parent_id is None and not spec.is_gather]
    if run_spec.draft:
        return Launched(run.id, created=True)
    if roots:
        queued = () if waits else [_dispatch(run.id, spec) for spec in roots]
        return Launched(run.id, created=True, dispatches=queued, ready=waits)
    # An empty tree, or gather nodes only: nothing will finish, so settle here.
    settled = settle_run(run.id)
    return Launched(run.id, created=True, dispatches=settled.dispatches, ready=settled.ready, ended=settled.ended)


def _dispatch(run_id: UUID, spec: NodeSpec) -> Dispatch:
    return Dispatch(
        id=spec.id,
        run_id=run_id,
        parent_id=None,
        task_id=spec.id,
        task=spec.task,
        args=spec.args,
        kwargs=spec.kwargs,
        options=spec.options,
        has_references=spec.has_references,
        child_count=spec.child_count,
        stops=spec.stops,
        limiter=spec.limiter,
        max_active=spec.max_active,
    )


def _find(run_spec: RunSpec, specs: Sequence[NodeSpec]) -> UUID | None:
    """Return the key of the run that an earlier launch with this key has made.

    Raises:
        KeyInUse: that was a launch of something else.
    """
    if run_spec.key is None:
        return None
    run = TreeRun.objects.using(write_alias()).filter(key=run_spec.key).only("id", "definition", "params").first()
    if run is None:
        return None
    if run.definition or run_spec.definition:
        existing, wanted = (
            _of_definition(run.definition, run.params),
            _of_definition(run_spec.definition, run_spec.params),
        )
    else:
        existing, wanted = _of_tasks(_root_tasks(run.id)), _of_tasks(_tasks(specs))
    if existing != wanted:
        raise KeyInUse.of(run_spec.key, run.id, existing, wanted)
    return run.id


def _of_definition(name: str, params: Mapping[str, Any]) -> str:
    if not name:
        return "a tree that no definition built"
    return f"the definition {name!r} with {json.dumps(params, sort_keys=True, ensure_ascii=False)}"


def _of_tasks(names: Sequence[str]) -> str:
    """Describe a tree that no definition built; its arguments may have the time of the launch in them."""
    return f"a tree whose root nodes are {', '.join(names)}" if names else "a tree without nodes"


def _tasks(specs: Iterable[NodeSpec]) -> list[str]:
    return list(islice((spec.task for spec in specs if spec.parent_id is None), _COMPARED))


def _root_tasks(run_id: UUID) -> list[str]:
    return list(nodes().under(run_id, None).in_order().values_list("task", flat=True)[:_COMPARED])
