"""Store the run of a tree and publish its root nodes after the commit, with the messages of its timers.

A timer's message starts a run at its ``eta``, or stops it at its ``deadline``.
"""

import logging
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction

from django_tasktree.builder.eligibility import registered_task
from django_tasktree.builder.plan import plan_run
from django_tasktree.builder.tree import Tree
from django_tasktree.conf import settings
from django_tasktree.dispatch.after_commit import publish_launch_after_commit
from django_tasktree.dispatch.publisher import unreachable
from django_tasktree.encoding import times
from django_tasktree.engine.lifecycle.launch import launch
from django_tasktree.engine.transitions import write_alias
from django_tasktree.engine.types import RunSpec

logger = logging.getLogger(__name__)


def launch_tree(tree: Tree, run_spec: RunSpec) -> tuple[UUID, Mapping[Hashable, UUID]]:
    """Store a run of a tree; publish its root nodes and its timers when the current transaction commits.

    Args:
        tree: the tree.
        run_spec: the run.

    Returns:
        The ID of the run, and the ID of each node of the tree. The latter are empty if a run with the same
        ``run_spec.key`` existed already.

    Raises:
        KeyInUse: if ``run_spec.key`` belongs to a run of something else.
        SerializationError, BrokenReference, InvalidOption: see :meth:`TaskTree.apply_async`.
    """
    plan = plan_run(tree, run_spec)
    run_spec.returns = plan.result_of(tree)
    # Make the rows of a small tree before the transaction, which locks SQLite's database. A large tree's rows are made
    # while they are inserted, so that they need not be in memory all at once.
    launched = launch(run_spec, list(plan) if len(plan) <= settings.batch_size else plan)
    publish_launch_after_commit(launched)
    if launched.created:
        _schedule_timers(run_spec)
    return launched.run_id, plan.keys if launched.created else {}


@contextmanager
def atomic_with_runs(alias: str) -> Iterator[None]:
    """Write rows of the project and launch a run in one transaction, or in two if they are in different databases.

    With two databases, an error in the block rolls back both transactions. The project's is committed first. Messages
    are sent after both commits, so no task looks for rows that are not committed yet. A crash between the two commits
    leaves the project's rows without a run.

    Args:
        alias: the database of the project's rows.
    """
    with ExitStack() as stack:
        for database in dict.fromkeys((write_alias(), alias)):
            stack.enter_context(transaction.atomic(using=database))
        yield


def _schedule_timers(run: RunSpec) -> None:
    """Send the timer messages of a new run when the current transaction commits.

    The receivers check the run's row, so a message that arrives twice or late does no harm.

    Args:
        run: the run; nothing is sent if it has neither an ``eta`` nor a ``deadline``.
    """
    for task, moment in [("django_tasktree.start_due", run.eta), ("django_tasktree.enforce_deadline", run.deadline)]:
        if moment is not None:
            transaction.on_commit(partial(_send_timer, task, run.id, moment), using=write_alias())


def _send_timer(name: str, run_id: UUID, moment: datetime) -> None:
    app: Any = current_app
    if app.conf.task_always_eager:
        # Nothing waits in eager mode: a run with an eta starts now, and deadlines are not enforced.
        if name.endswith("start_due"):
            registered_task(name).apply((str(run_id),), throw=True)
        return
    try:
        app.send_task(name, [str(run_id)], eta=times.instant(moment), ignore_result=True)
    except unreachable(app) as exc:
        logger.warning("the broker can't be reached (%r): timer message %s of run %s is not sent", exc, name, run_id)
