"""Carry out actions on runs and nodes. Handles, the admin and the commands all use these functions.

An action is one transaction. An action on more nodes than ``BATCH_SIZE`` takes a transaction for each batch instead,
unless the caller has opened one: see :mod:`django_tasktree.control.changes`. Messages are sent and nodes are settled
after commit.
"""

import logging
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_noop as _

from django_tasktree.builder.children import children_of, each_of, kwargs_of
from django_tasktree.builder.maps import given_items
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.builder.own_tasks import MAP
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.conf import settings
from django_tasktree.control.changes import TERMINATE, Interrupted, carry_out_while
from django_tasktree.control.division import Request, carried_out, divide, divide_subtree
from django_tasktree.control.purge import delete_run
from django_tasktree.control.sub_runs import pause_sub_runs, resume_sub_runs
from django_tasktree.dispatch import termination
from django_tasktree.dispatch.after_commit import advance_and_settle_after_commit, finish_and_propagate
from django_tasktree.dispatch.waits import clean_payload
from django_tasktree.encoding import serialization, times
from django_tasktree.encoding.nested import find_all
from django_tasktree.encoding.references import Reference
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.engine.control import pause as engine_pause
from django_tasktree.engine.control import rerun as engine_rerun
from django_tasktree.engine.control.add import add, place_in
from django_tasktree.engine.control.available_results import check_references_available
from django_tasktree.engine.control.change import Change
from django_tasktree.engine.control.complete import prepare_completion
from django_tasktree.engine.control.refusals import HAS_ENDED, NO_DRAFT, NOT_GOING, NOT_PAUSED
from django_tasktree.engine.control.reset import lock_run, reopen
from django_tasktree.engine.control.retry import find_failed, retry_failed, still_failed
from django_tasktree.engine.control.retry import retry_leaves as engine_retry_leaves
from django_tasktree.engine.database_retries import retry_deadlocks
from django_tasktree.engine.history import record, record_each
from django_tasktree.engine.lifecycle.launch import start
from django_tasktree.engine.lifecycle.stop import stop_run, stop_subtree
from django_tasktree.engine.steps import AT_ONCE
from django_tasktree.engine.transitions import nodes, runs, write_alias
from django_tasktree.engine.traversal import is_larger
from django_tasktree.engine.types import Effect, Outcome
from django_tasktree.exceptions import NotPossible, RunNotFound
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import NOT_STARTED, RUN_GOING, RUN_STOPPABLE, NodeState, RunState

logger = logging.getLogger(__name__)


@retry_deadlocks
def launch_draft(run_id: UUID, by: Any = None) -> Effect:
    """Launch a draft.

    Raises:
        NotPossible: the run is not a draft.
    """
    with transaction.atomic(using=write_alias()):
        if not start(run_id):
            raise NotPossible(NO_DRAFT, run=run_id, state=_state(run_id))
        record(run_id, Action.LAUNCH, by)
        advance_and_settle_after_commit(run_id, started=True)
        return Effect()


@carried_out
def pause(run_id: UUID, node_id: UUID | None = None, by: Any = None) -> Effect | Change:
    """Start no new tasks of a run or subtree. Running tasks may finish.

    Raises:
        NotPossible: the run is not STARTED. For a node: the run is a draft, or another action on it is being
            carried out.
    """
    if node_id is None:
        return _pause_run(run_id, by)

    def at_once() -> Effect:
        held = engine_pause.pause_subtree(AT_ONCE, run_id, node_id)
        pause_sub_runs(run_id, node_id, by)
        return Effect(held=held, running=len(termination.running(run_id, node_id)))

    return divide_subtree(Request(Action.PAUSE, run_id, node_id, by), node_id, at_once)


def _pause_run(run_id: UUID, by: Any) -> Effect:
    with transaction.atomic(using=write_alias()):
        if not engine_pause.pause_run(run_id):
            raise NotPossible(NOT_GOING, run=run_id, state=_state(run_id))
        effect = Effect(running=len(termination.running(run_id, None)))
        record(run_id, Action.PAUSE, by)
        pause_sub_runs(run_id, None, by)
        return effect


@carried_out
def resume(run_id: UUID, node_id: UUID | None = None, by: Any = None) -> Effect | Change:
    """Continue a run or subtree after a pause.

    Raises:
        NotPossible: the run is not paused. For a node: the run is a draft, or another action on it is being
            carried out.
    """
    if node_id is None:
        return _resume_run(run_id, by)

    def at_once() -> Effect:
        held = engine_pause.resume_subtree(AT_ONCE, run_id, node_id)
        resume_sub_runs(run_id, node_id, by)
        advance_and_settle_after_commit(run_id, resumed=True)
        return Effect(held=held)

    return divide_subtree(Request(Action.RESUME, run_id, node_id, by), node_id, at_once)


def _resume_run(run_id: UUID, by: Any) -> Effect:
    with transaction.atomic(using=write_alias()):
        if not engine_pause.resume_run(run_id):
            raise NotPossible(NOT_PAUSED, run=run_id, state=_state(run_id))
        record(run_id, Action.RESUME, by)
        resume_sub_runs(run_id, None, by)
        advance_and_settle_after_commit(run_id, resumed=True)
        return Effect()


@carried_out
def revoke(run_id: UUID, node_id: UUID | None = None, by: Any = None, *, terminate: bool = False) -> Effect | Change:
    """Cancel all nodes of a run or subtree that have not started. A revoked run has ended when this returns.

    Args:
        run_id: the run.
        node_id: revoke only this node and its subtree.
        by: the user, or a text that names the program or person.
        terminate: also stop running tasks with Celery's ``revoke(terminate=True)``, which only its prefork pool
            supports.

    Raises:
        NotPossible: the run has ended. For a node: the run is a draft, or another action on it is being carried out.
    """

    def at_once() -> Effect:
        running = termination.running(run_id, node_id)
        revoked = _stop_run(run_id) if node_id is None else stop_subtree(AT_ONCE, run_id, node_id)
        ended = RunState.REVOKED if node_id is None else None
        advance_and_settle_after_commit(run_id, terminates=terminate, ended=ended)
        if terminate:
            transaction.on_commit(partial(termination.terminate, running), using=write_alias())
        return Effect(revoked=revoked, running=len(running))

    request = Request(Action.REVOKE, run_id, node_id, by, TERMINATE if terminate else "")
    if node_id is not None:
        return divide_subtree(request, node_id, at_once)
    return divide(
        request, is_large=partial(_has_many_waiting, run_id), lock=partial(_lock_stoppable, run_id), at_once=at_once
    )


def _stop_run(run_id: UUID) -> int:
    revoked = stop_run(run_id, RunState.REVOKED)
    if revoked is None:
        raise NotPossible(HAS_ENDED, run=run_id, state=_state(run_id))
    return revoked


def _lock_stoppable(run_id: UUID) -> TreeRun:
    run = lock_run(run_id, drafts=True, changing=True)
    if run.state not in RUN_STOPPABLE:
        raise NotPossible(HAS_ENDED, run=run_id, state=run.state)
    return run


@carried_out
def retry(run_id: UUID, node_id: UUID | None = None, by: Any = None) -> Effect | Change:
    """Run failed and revoked nodes again, and the nodes that were not reached because of them.

    Successful nodes keep their results.

    Raises:
        NotPossible: nothing has failed or was revoked, or the failed nodes can't be reached; or the run is a draft, or
            another action on it is being carried out.
    """
    failed = find_failed(run_id, node_id)

    def at_once() -> Effect:
        run = lock_run(run_id)
        effect = retry_failed(AT_ONCE, run_id, node_id, still_failed(failed))
        reopen(run)
        advance_and_settle_after_commit(run_id)
        return effect

    return divide(
        Request(Action.RETRY, run_id, node_id, by),
        is_large=lambda: failed.number > settings.batch_size,
        lock=partial(lock_run, run_id),
        at_once=at_once,
    )


@retry_deadlocks
def retry_leaves(run_id: UUID, node_ids: Collection[UUID], by: Any = None) -> dict[UUID, Effect]:
    """Retry those of the given nodes of a run that failed or were revoked and have no children, in one transaction.

    Returns:
        The effect on each node that was retried. The others are unchanged; :func:`retry` raises the error for them.

    Raises:
        NotPossible: the run is a draft, or another action on it is being carried out.
        RunNotFound: there is no such run.
    """
    with transaction.atomic(using=write_alias()):
        again, waiting = engine_retry_leaves(run_id, node_ids)
        if not again:
            return {}
        effects = {key: Effect(again=1 + (waiting if position == 0 else 0)) for position, key in enumerate(again)}
        record_each(run_id, Action.RETRY, by, {key: effect.moved for key, effect in effects.items()})
        advance_and_settle_after_commit(run_id)
        return effects


@carried_out
def rerun(run_id: UUID, node_id: UUID, by: Any = None) -> Effect | Change:
    """Run a node again, even if it succeeded, with its subtree and the gather nodes that wait for it.

    Raises:
        NotPossible: the node has not run, or tasks are running among the nodes that depend on it; or another action on
            the run is being carried out.
    """

    def lock() -> TreeRun:
        run = lock_run(run_id)
        engine_rerun.refuse_rerun(node_id)
        return run

    def at_once() -> Effect:
        run = lock()
        effect = engine_rerun.rerun(AT_ONCE, run_id, node_id)
        reopen(run)
        advance_and_settle_after_commit(run_id)
        return effect

    return divide(
        Request(Action.RERUN, run_id, node_id, by),
        is_large=lambda: is_larger(run_id, engine_rerun.tops_of_rerun(run_id, node_id), settings.batch_size),
        lock=lock,
        at_once=at_once,
    )


@retry_deadlocks
def complete(run_id: UUID, node_id: UUID, result: Any = None, by: Any = None, *, only: UUID | None = None) -> Effect:
    """Give a node a result, as if its task had succeeded.

    Args:
        run_id: the run.
        node_id: a node that waits for a worker or, as a wait node, for its event; or that failed or was revoked.
        result: the result of the node; for a wait node, the payload that its form or its parameters validate.
        by: the user, or a text that names the program or person.
        only: the task ID of the wait that may be completed; None: see ``node_id``.

    Raises:
        NotPossible: the node has succeeded, was skipped, is running, or has not been reached; or that wait has ended.
        InvalidParameter: the node is a wait node, and the payload does not fit its form or its parameters.
        SerializationError: the result can't be stored, or is larger than ``MAX_RESULT_SIZE``.
    """
    text = serialization.write(_result_of(node_id, result), "max_result_size")
    with transaction.atomic(using=write_alias()):
        ref, effect = prepare_completion(run_id, node_id, only)
        record(run_id, Action.COMPLETE, by, node_id=node_id, nodes=1)
        finish_and_propagate(ref, Outcome(NodeState.SUCCESS, result=text), [NodeState.PENDING, NodeState.WAITING])
        advance_and_settle_after_commit(run_id)
        return effect


def _result_of(node_id: UUID, given: Any) -> Any:
    """Return the result with which a node is completed; that of a wait node is its validated payload."""
    wait = nodes().filter(id=node_id).values_list("wait", flat=True).first()
    return given if wait is None else clean_payload(WaitSpec.read(wait), given)


@retry_deadlocks
def add_nodes(run_id: UUID, built: NodeParent, node_id: UUID | None = None, by: Any = None) -> Mapping[Hashable, UUID]:
    """Add nodes to a launched run. A run that has ended is continued.

    Args:
        run_id: the run.
        built: the object to which the nodes were added.
        node_id: the parent of the new nodes; None to add root nodes.
        by: the user, or a text that names the program or person.

    Returns:
        The ID of each node, by the ``TaskTreeNode`` that was built.

    Raises:
        NotPossible: nothing below the parent would ever run; or it is a map, to which only gather nodes can be added.
        SerializationError, BrokenReference, InvalidOption: see :func:`django_tasktree.builder.plan.plan_nodes`.
    """
    with transaction.atomic(using=write_alias()):
        # Task functions may add nodes while another action on the run is being carried out.
        run = lock_run(run_id, changing=True)
        place = place_in(run, node_id)
        _refuse_in_map(node_id, built)
        plan = plan_nodes(built, place)
        specs = list(plan)
        check_references_available(run_id, node_id, _referred_to(built))
        add(run, place, specs)
        record(run_id, Action.ADD, by, node_id=node_id, nodes=len(specs))
        advance_and_settle_after_commit(run_id)
        return plan.keys


def enforce_deadline(run_id: UUID, may_continue: Callable[[], bool] = lambda: True) -> bool:
    """Stop a run whose deadline has passed, with FAILURE.

    Args:
        run_id: the run.
        may_continue: called before each batch if there are many nodes; returns whether there is time for it. If not,
            the next sweep continues.

    Returns:
        False if the run has ended, its deadline has not passed, or it is CHANGING, so that the next sweep handles it.
    """
    found = _enforce_deadline(run_id)
    if isinstance(found, Change):
        try:
            carry_out_while(found, may_continue)
        except Interrupted:
            logger.info("the next sweep continues to stop run %s", run_id)
        except NotPossible as exc:
            logger.info("%s", exc)
            return False
    return found is not None


@retry_deadlocks
def _enforce_deadline(run_id: UUID) -> Effect | Change | None:
    stoppable = runs().filter(id=run_id, state__in=RUN_GOING | {RunState.DRAFT})
    overdue = stoppable.filter(deadline__lte=times.now())
    deadline = overdue.values_list("deadline", flat=True).first()
    if deadline is None:
        return None
    reason = f"the run had not ended by its deadline, {times.text(deadline)}"

    def lock() -> TreeRun | None:
        return overdue.get() if overdue.update(revision=F("revision") + 1) else None

    def at_once() -> Effect | None:
        revoked = stop_run(run_id, RunState.FAILURE, reason) if overdue.update(revision=F("revision") + 1) else None
        if revoked is None:
            return None
        advance_and_settle_after_commit(run_id, ended=RunState.FAILURE)
        return Effect(revoked=revoked)

    request = Request(Action.DEADLINE, run_id, note=reason)
    return divide(request, is_large=partial(_has_many_waiting, run_id), lock=lock, at_once=at_once)


def delete(run_id: UUID) -> Effect:
    """Delete a run that has ended or is a draft, with its nodes, their results, attempts and history.

    Raises:
        NotPossible: the run has not ended, or protected rows of other apps refer to it.
        RunNotFound: there is no such run.
    """
    return Effect(removed=delete_run(run_id))


def run_of(node_id: UUID) -> UUID:
    """Return the ID of a node's run.

    Raises:
        RunNotFound: there is no such node.
    """
    run_id: UUID | None = NodeRun.objects.filter(id=node_id).values_list("run_id", flat=True).first()
    if run_id is None:
        raise RunNotFound.of_node(node_id)
    return run_id


def _referred_to(built: NodeParent) -> set[UUID]:
    """Return the IDs of stored nodes whose outputs are arguments of the nodes that were built."""
    found: set[UUID] = set()
    stack = [*children_of(built)]
    while stack:
        node = stack.pop()
        given = [node.args, kwargs_of(node), given_items(node)]
        found |= {reference.node for reference in find_all(given, Reference)}
        each = each_of(node)
        stack.extend(children_of(node) if each is None else [each, *children_of(node)])
    return found


def _refuse_in_map(node_id: UUID | None, built: NodeParent) -> None:
    if all(node.rules.is_gather for node in children_of(built)):
        return
    if node_id is not None and nodes().filter(id=node_id, task=MAP).exists():
        raise NotPossible(
            _("node %(node)s is a map, whose children are its items: add to one of these, or add a gather node"),
            node=node_id,
        )


def _state(run_id: UUID) -> str:
    state: str | None = TreeRun.objects.filter(id=run_id).values_list("state", flat=True).first()
    if state is None:
        raise RunNotFound.of_run(run_id)
    return state


def _has_many_waiting(run_id: UUID) -> bool:
    """Return whether a run has more unstarted nodes than fit into one batch."""
    waiting = nodes().filter(run_id=run_id, state__in=NOT_STARTED)
    return bool(waiting.values_list("id", flat=True)[settings.batch_size : settings.batch_size + 1])
