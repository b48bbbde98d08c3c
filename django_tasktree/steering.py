"""Steer a run, or a node with its subtree, from outside: each verb in one transaction, with its line in the history.

What follows (messages, settling) is done after commit. Handles, the admin and the commands all come through here.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction

from django_tasktree import serialization, times
from django_tasktree.blueprint import draw
from django_tasktree.engine import pause as engine_pause
from django_tasktree.engine import preview as engine_preview
from django_tasktree.engine.add import add, place_in
from django_tasktree.engine.history import record, record_each
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.refusal_texts import HAS_ENDED, NO_DRAFT, NOT_GOING, NOT_PAUSED
from django_tasktree.engine.rerun import rerun as engine_rerun
from django_tasktree.engine.reset import lock_run
from django_tasktree.engine.results_at_hand import check_at_hand
from django_tasktree.engine.retry_failed import retry_failed
from django_tasktree.engine.retry_failed import retry_leaves as engine_retry_leaves
from django_tasktree.engine.skip_node import prepare_skip
from django_tasktree.engine.specs import Effect, Outcome
from django_tasktree.engine.start import start
from django_tasktree.engine.stop import stop_run, stop_subtree
from django_tasktree.engine.subtree import in_batches, subtree
from django_tasktree.engine.transient import through_deadlocks
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.nested import find_all
from django_tasktree.nodes import NodeParent
from django_tasktree.references import Reference
from django_tasktree.states import NodeState, RunState
from django_tasktree.worker.follow import conclude, steered_after_commit


@through_deadlocks
def launch_draft(run_id: UUID, by: Any = None) -> Effect:
    """Launch a run that was only written down.

    Raises:
        NotPossible: it is no draft.
    """
    with transaction.atomic(using=write_alias()):
        if not start(run_id):
            raise NotPossible(NO_DRAFT, run=run_id, state=_state(run_id))
        record(run_id, Action.LAUNCH, by)
        steered_after_commit(run_id, started=True)
        return Effect()


@through_deadlocks
def pause(run_id: UUID, node_id: UUID | None = None, by: Any = None) -> Effect:
    """Let nothing new start; bodies that run may end.

    Raises:
        NotPossible: the run is not going.
    """
    with transaction.atomic(using=write_alias()):
        if node_id is not None:
            lock_run(run_id)
            effect = Effect(held=engine_pause.pause_subtree(run_id, node_id), running=_running(run_id, node_id))
        elif engine_pause.pause_run(run_id):
            effect = Effect(running=_running(run_id, None))
        else:
            raise NotPossible(NOT_GOING, run=run_id, state=_state(run_id))
        record(run_id, Action.PAUSE, by, node_id=node_id, nodes=effect.moved)
        return effect


@through_deadlocks
def resume(run_id: UUID, node_id: UUID | None = None, by: Any = None) -> Effect:
    """Go on after a pause.

    Raises:
        NotPossible: the run is not paused.
    """
    with transaction.atomic(using=write_alias()):
        if node_id is not None:
            lock_run(run_id)
            effect = Effect(held=engine_pause.resume_subtree(run_id, node_id))
        elif engine_pause.resume_run(run_id):
            effect = Effect()
        else:
            raise NotPossible(NOT_PAUSED, run=run_id, state=_state(run_id))
        record(run_id, Action.RESUME, by, node_id=node_id, nodes=effect.moved)
        steered_after_commit(run_id)
        return effect


@through_deadlocks
def revoke(run_id: UUID, node_id: UUID | None = None, by: Any = None, *, terminate: bool = False) -> Effect:
    """Let what has not started never start. A run that is revoked has ended at once.

    Args:
        run_id: the run.
        node_id: only this node and what is below it.
        by: who asks.
        terminate: also stop the bodies that run, through Celery's ``revoke(terminate=True)``, which its prefork pool
            alone obeys.

    Raises:
        NotPossible: the run has ended.
    """
    with transaction.atomic(using=write_alias()):
        running = list(_started(run_id, node_id))
        if node_id is None:
            revoked = stop_run(run_id, RunState.REVOKED)
            if revoked is None:
                raise NotPossible(HAS_ENDED, run=run_id, state=_state(run_id))
        else:
            lock_run(run_id)
            revoked = stop_subtree(run_id, node_id)
        record(run_id, Action.REVOKE, by, node_id=node_id, nodes=revoked, note="terminate" if terminate else "")
        steered_after_commit(run_id, ended=RunState.REVOKED if node_id is None else None)
        if terminate and running:
            ids = [str(task_id) for task_id in running]
            transaction.on_commit(lambda: _terminate(ids), using=write_alias())
        return Effect(revoked=revoked, running=len(running))


@through_deadlocks
def retry(run_id: UUID, node_id: UUID | None = None, by: Any = None) -> Effect:
    """Run again what failed or was revoked, and what was not reached because of it; what succeeded stays.

    Raises:
        NotPossible: nothing has failed.
    """
    with transaction.atomic(using=write_alias()):
        effect = retry_failed(run_id, node_id)
        record(run_id, Action.RETRY, by, node_id=node_id, nodes=effect.moved)
        steered_after_commit(run_id)
        return effect


@through_deadlocks
def retry_leaves(run_id: UUID, node_ids: Collection[UUID], by: Any = None) -> dict[UUID, Effect]:
    """Retry those of some nodes of a run that failed and have nothing below them, in one transaction.

    Returns:
        What was done to each of them; the others are left as they are, for :func:`retry`, which says why.

    Raises:
        NotPossible: the run is a draft.
        RunNotFound: there is none.
    """
    with transaction.atomic(using=write_alias()):
        again, waiting = engine_retry_leaves(run_id, node_ids)
        if not again:
            return {}
        effects = {key: Effect(again=1 + (waiting if position == 0 else 0)) for position, key in enumerate(again)}
        record_each(run_id, Action.RETRY, by, {key: effect.moved for key, effect in effects.items()})
        steered_after_commit(run_id)
        return effects


@through_deadlocks
def rerun(run_id: UUID, node_id: UUID, by: Any = None) -> Effect:
    """Run a node again, even if it succeeded, with all below it and the gather nodes that wait for it.

    Raises:
        NotPossible: it has not run, or bodies run among what depends on it.
    """
    with transaction.atomic(using=write_alias()):
        effect = engine_rerun(run_id, node_id)
        record(run_id, Action.RERUN, by, node_id=node_id, nodes=effect.moved)
        steered_after_commit(run_id)
        return effect


@through_deadlocks
def skip(run_id: UUID, node_id: UUID, result: Any = None, by: Any = None) -> Effect:
    """Let a node count as if it had succeeded.

    Args:
        run_id: the run.
        node_id: a node that waits for a worker, or that failed or was revoked.
        result: the result that it should have had.
        by: who asks.

    Raises:
        NotPossible: it has succeeded, is running, or has not been reached.
        SerializationError: the result can't be stored, or is larger than ``MAX_RESULT_SIZE``.
    """
    text = serialization.write(result, "max_result_size")
    with transaction.atomic(using=write_alias()):
        ref, effect = prepare_skip(run_id, node_id)
        record(run_id, Action.SKIP, by, node_id=node_id, nodes=1)
        conclude(ref, Outcome(NodeState.SUCCESS, result=text), [NodeState.PENDING])
        steered_after_commit(run_id)
        return effect


@through_deadlocks
def add_nodes(run_id: UUID, built: NodeParent, node_id: UUID | None = None, by: Any = None) -> Mapping[Hashable, UUID]:
    """Add the nodes that were built to a run, which goes on if it had ended.

    Args:
        run_id: the run.
        built: what the nodes were added to.
        node_id: the node below which they go; None: they become root nodes.
        by: who asks.

    Returns:
        The key of each node that was built.

    Raises:
        NotPossible: nothing below that node would ever run.
        SerializationError, BrokenReference, InvalidOption: see :func:`django_tasktree.blueprint.draw`.
    """
    with transaction.atomic(using=write_alias()):
        run = lock_run(run_id)
        place = place_in(run, node_id)
        check_at_hand(run_id, node_id, _referred_to(built))
        blueprint = draw(built, place)
        add(run, place, blueprint.specs)
        record(run_id, Action.ADD, by, node_id=node_id, nodes=len(blueprint.specs))
        steered_after_commit(run_id)
        return blueprint.keys


@through_deadlocks
def enforce_deadline(run_id: UUID) -> bool:
    """Stop a run whose deadline has passed, with FAILURE.

    Returns:
        False where it has ended, or has more time by now.
    """
    with transaction.atomic(using=write_alias()):
        run = TreeRun.objects.using(write_alias()).filter(id=run_id, deadline__lte=times.now()).first()
        if run is None:
            return False
        reason = f"the run had not ended by its deadline, {times.text(run.deadline)}"
        revoked = stop_run(run_id, RunState.FAILURE, reason)
        if revoked is None:
            return False
        record(run_id, Action.DEADLINE, nodes=revoked, note=reason)
        steered_after_commit(run_id, ended=RunState.FAILURE)
        return True


_PREVIEWS: dict[str, Callable[..., Effect]] = {
    "launch": engine_preview.launch,
    "pause": engine_preview.pause,
    "resume": engine_preview.resume,
    "revoke": engine_preview.revoke,
    "retry": engine_preview.retry,
    "rerun": engine_preview.rerun,
    "skip": engine_preview.skip,
}


def preview(verb: str, run_id: UUID, node_id: UUID | None = None) -> Effect:
    """Find out what a verb would do, by reading alone.

    Args:
        verb: its name.
        run_id: the run.
        node_id: the node; None: the run as a whole.

    Raises:
        NotPossible: what the verb would raise.
        ValueError: there is no such verb, or not for a node, or for nodes alone.
    """
    if verb not in _PREVIEWS or (node_id is None and verb in ("rerun", "skip")) or (node_id and verb == "launch"):
        what = "runs" if node_id is None else "nodes"
        raise ValueError(f"there is no preview of {verb!r} for {what}")
    find = _PREVIEWS[verb]
    return find(run_id) if node_id is None else find(run_id, node_id)


def run_of(node_id: UUID) -> UUID:
    """Give the key of a node's run.

    Raises:
        RunNotFound: there is no such node.
    """
    run_id: UUID | None = NodeRun.objects.filter(id=node_id).values_list("run_id", flat=True).first()
    if run_id is None:
        raise RunNotFound(f"no node {node_id}: was its launch rolled back, or has its run been purged?")
    return run_id


def _referred_to(built: NodeParent) -> set[UUID]:
    """The nodes of runs, not of the tree that is being built, whose outputs are passed on."""
    found: set[UUID] = set()
    stack = list(built.children)
    while stack:
        node = stack.pop()
        found |= {reference.node for reference in find_all([node.args, node.kwargs], Reference)}
        stack.extend(node.children)
    return found


def _state(run_id: UUID) -> str:
    state: str | None = TreeRun.objects.filter(id=run_id).values_list("state", flat=True).first()
    if state is None:
        raise RunNotFound(f"no run {run_id}: was its launch rolled back, or has it been purged?")
    return state


def _running(run_id: UUID, node_id: UUID | None) -> int:
    return sum(1 for _ in _started(run_id, node_id))


def _started(run_id: UUID, node_id: UUID | None) -> Iterator[UUID]:
    """The task ids of the bodies that run."""
    running = nodes().filter(run_id=run_id, state=NodeState.STARTED)
    if node_id is None:
        yield from running.values_list("task_id", flat=True)
        return
    for batch in in_batches(subtree(run_id, node_id)):
        yield from running.filter(id__in=batch).values_list("task_id", flat=True)


def _terminate(task_ids: list[str]) -> None:
    current_app.control.revoke(task_ids, terminate=True)
