"""launch: insert a run and its nodes in one transaction, and queue the root nodes. A draft is started later."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from django_tasktree.conf import settings
from django_tasktree.encoding import times
from django_tasktree.engine.lifecycle.insert import insert_nodes
from django_tasktree.engine.lifecycle.release import queued_children
from django_tasktree.engine.lifecycle.settle import settle_run
from django_tasktree.engine.transitions import begin, move, nodes, runs, write_alias
from django_tasktree.engine.types import Dispatch, Launched, NodeSpec, RunSpec
from django_tasktree.exceptions import InvalidOption, KeyInUse, RunNotFound
from django_tasktree.models import TreeRun
from django_tasktree.states import NodeState, RunState

#: How many root nodes are compared, by their tasks, when a launch key is used again.
_COMPARED = 10


def launch(run_spec: RunSpec, specs: Iterable[NodeSpec]) -> Launched:
    """Insert a run and queue its root nodes. Root nodes of a draft, or of a run with a limit, become runnable instead.

    Args:
        run_spec: the run; a ``key`` makes the launch idempotent.
        specs: the nodes, the root nodes first, each parent before its children. They may be made while they are
            inserted, and may be iterated more than once. If an error is raised meanwhile, nothing is inserted.

    Returns:
        The run's ID, and the root nodes to publish after the caller's transaction, if any, has committed. If there are
        more than ``batch_size``, they are read in pages while the caller publishes them.

    Raises:
        KeyInUse: if the key belongs to a run of a different definition, parameters or tree.
        RunNotFound: if there is no run ``copy_of_id``.
        InvalidOption: if there is a run with the ID of this one.
    """
    existing = find_by_key(run_spec, specs)
    if existing is not None:
        return Launched(existing, created=False)
    _check_original(run_spec)
    try:
        with transaction.atomic(using=write_alias()):
            return _insert(run_spec, specs)
    except IntegrityError:
        # Another launch with this key has committed in the meantime; any other integrity error is raised.
        existing = find_by_key(run_spec, specs)
        if existing is None:
            _check_new(run_spec)
            _check_original(run_spec)
            raise
        return Launched(existing, created=False)


def start(run_id: UUID) -> bool:
    """Move a draft to STARTED. The caller calls ``advance`` after commit.

    Returns:
        False if the run is no longer a draft.
    """
    values = {"started_at": times.now(), "revision": F("revision") + 1}
    return move(runs().filter(id=run_id), [RunState.DRAFT], RunState.STARTED, **values) == 1


def _check_new(run_spec: RunSpec) -> None:
    if runs().filter(id=run_spec.id).exists():
        raise InvalidOption(f"run_id: there is a run {run_spec.id} already: leave run_id out, or use a new UUID")


def _check_original(run_spec: RunSpec) -> None:
    """Check that the run that is copied exists. Many databases check foreign keys only at the end of a transaction."""
    if run_spec.copy_of_id is not None and not runs().filter(id=run_spec.copy_of_id).exists():
        raise RunNotFound(f"copy_of: {RunNotFound.of_run(run_spec.copy_of_id)}")


def _insert(run_spec: RunSpec, specs: Iterable[NodeSpec]) -> Launched:
    now = times.now()
    run = TreeRun(
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
        returns=run_spec.returns,
        depth=run_spec.depth,
        **_parent(run_spec),
        created_at=now,
        started_at=None if run_spec.draft else now,
    )
    begin(run, RunState.DRAFT if run_spec.draft else RunState.STARTED)
    run.save(force_insert=True, using=write_alias())
    waits = run_spec.draft or run_spec.max_active is not None
    roots = _Roots(settings.batch_size)
    roots_begin = NodeState.PENDING if waits else NodeState.QUEUED
    insert_nodes(run.id, roots.noted(specs), roots=roots_begin, roots_runnable=waits)
    if run_spec.draft:
        return Launched(run.id, created=True)
    if roots.number:
        return Launched(run.id, created=True, dispatches=() if waits else roots.dispatches(run.id), runnable=waits)
    # The tree is empty or has only gather nodes: no node will finish, so settle here.
    settled = settle_run(run.id)
    return Launched(run.id, created=True, dispatches=settled.dispatches, runnable=settled.runnable, ended=settled.ended)


def _parent(run_spec: RunSpec) -> dict[str, UUID]:
    """Return the columns that link a sub-run to the attempt that starts it."""
    parent = run_spec.parent
    if parent is None:
        return {}
    return {"parent_run_id": parent.run_id, "parent_node_id": parent.id}


class _Roots:
    """The root nodes, except gather nodes, among the nodes that are inserted. Only a few are kept in memory."""

    def __init__(self, most: int) -> None:
        self.number = 0
        self._most = most
        self._kept: list[NodeSpec] = []

    def noted(self, specs: Iterable[NodeSpec]) -> Iterator[NodeSpec]:
        """Yield all nodes unchanged."""
        for spec in specs:
            if spec.parent_id is None and not spec.is_gather:
                self.number += 1
                if self.number <= self._most:
                    self._kept.append(spec)
            yield spec

    def dispatches(self, run_id: UUID) -> Iterable[Dispatch]:
        """Return the root nodes to publish; they are read from the database if not all were kept."""
        if self.number > self._most:
            return queued_children(run_id, None)
        return [Dispatch.of_spec(run_id, spec) for spec in self._kept]


def find_by_key(run_spec: RunSpec, specs: Iterable[NodeSpec]) -> UUID | None:
    """Return the ID of the run that an earlier launch with the same key created, or None.

    Raises:
        KeyInUse: if the definition, the parameters or the tree differ.
    """
    if run_spec.key is None:
        return None
    run = runs().filter(key=run_spec.key).only("id", "definition", "params").first()
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
    """Describe a tree without a definition by its tasks, as its arguments may contain the time of the launch."""
    return f"a tree whose root nodes are {', '.join(names)}" if names else "a tree without nodes"


def _tasks(specs: Iterable[NodeSpec]) -> list[str]:
    roots = takewhile(lambda spec: spec.parent_id is None, specs)
    return [spec.task for spec in islice(roots, _COMPARED)]


def _root_tasks(run_id: UUID) -> list[str]:
    return list(nodes().under(run_id, None).in_order().values_list("task", flat=True)[:_COMPARED])
