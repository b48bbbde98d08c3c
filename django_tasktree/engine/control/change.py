"""A change of a run: an action on more nodes than one transaction should lock, carried out in batches.

During this time the run is CHANGING: none of its nodes starts, and it does not end. The history entry of the action
stores the state that the run gets afterwards and when the last batch was committed, so another process can continue the
change if the first one is lost. Each batch is selected by the states of nodes and is safe to repeat.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F, Q

from django_tasktree.encoding import times
from django_tasktree.engine.control.refusals import ABORTED
from django_tasktree.engine.control.reset import is_detached, reopen
from django_tasktree.engine.database_retries import retry_transient
from django_tasktree.engine.history import open_entries, record
from django_tasktree.engine.lifecycle.stop import revoke
from django_tasktree.engine.steps import Steps
from django_tasktree.engine.transitions import move, nodes, runs, write_alias
from django_tasktree.engine.traversal import in_batches
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.models.querysets import TreeRunQuerySet
from django_tasktree.states import RunState

#: Actions that are checked before anything is changed, and that reopen a run that had ended.
_CHECKED = frozenset({Action.RETRY, Action.RERUN})
#: The final state that an action on a whole run gives it.
_ENDING = {Action.REVOKE: RunState.REVOKED, Action.DEADLINE: RunState.FAILURE}


class Overtaken(Exception):
    """This process no longer owns the change: the run was ended or deleted, or the change was completed or aborted."""


class Change(Steps):
    """A change in progress.

    Args:
        entry: the history entry of the change.
        is_resumed: whether another process began the change and was lost.
        between: called before each batch; if it raises, another process can continue the change.

    Attributes:
        run_id: the run.
        node_id: the node, if the action affects a node with its subtree; else None.
        action: the action.
        note: the note of the history entry.
        was_refused: whether the action was refused before anything was changed.
    """

    are_separate = True

    def __init__(
        self, entry: HistoryEntry, *, is_resumed: bool = False, between: Callable[[], Any] = lambda: None
    ) -> None:
        self.run_id: UUID = entry.run_id
        self.node_id: UUID | None = entry.node_id
        self.action = Action(entry.action)
        self.note = entry.note
        self.was_refused = False
        self.between = between
        self._entry_id = entry.pk
        self._is_checked = entry.is_checked
        self._is_resumed = is_resumed

    def each(self, keys: Iterable[UUID], act: Callable[[list[UUID]], int], left: Q | None = None) -> int:
        """See :meth:`Steps.each`; each batch has its own transaction.

        Raises:
            Overtaken: if this process no longer owns the change.
        """
        moved = 0
        for batch in in_batches(_matching(keys, left) if left is not None else iter(keys)):
            self.between()
            moved += retry_transient(partial(self.step, partial(act, batch)))
        return moved

    def step(self, act: Callable[[], int]) -> int:
        """Carry out one batch in its own transaction. Between two batches, no transaction is open.

        Args:
            act: carries out the batch; returns the number of changed nodes.

        Returns:
            The number of changed nodes.

        Raises:
            Overtaken: see :meth:`each`.
        """
        with transaction.atomic(using=write_alias()), self._locked() as entry:
            moved = act()
            entry.nodes += moved
            entry.last_batch_at = times.now()
            return moved

    def check(self, refuse: Callable[[], Any], undo: Callable[[], Any]) -> None:
        """See :meth:`Steps.check`. A resumed change that was not checked yet is refused, as no caller waits for it."""
        if self._is_checked:
            return
        try:
            self._refuse_to_resume()
            refuse()
        except NotPossible:
            undo()
            self.was_refused = True
            raise
        retry_transient(self._begin_to_change)

    def end(self) -> RunState | None:
        """Complete the change in the caller's transaction: end the run, or restore the state in the history entry.

        Returns:
            The run's final state if the action ends it; otherwise None.

        Raises:
            Overtaken: see :meth:`each`.
        """
        with self._locked() as entry:
            ended = None if self.node_id is not None else _ENDING.get(self.action)
            if ended is None:
                self._move(entry.state_before)
            else:
                # Running tasks may have added nodes since the last batch.
                entry.nodes += revoke(nodes().filter(run_id=self.run_id))
                reason = self.note if ended == RunState.FAILURE else ""
                self._move(ended, finished_at=times.now(), error_message=reason)
            entry.last_batch_at, entry.state_before = None, ""
        return ended

    def cancel(self) -> None:
        """Restore the run's state when nothing was changed, and delete the history entry; in the caller's transaction.

        Raises:
            Overtaken: see :meth:`each`.
        """
        with self._locked() as entry:
            self._move(entry.state_before)
        self._entries().delete()

    def close(self) -> bool:
        """Close the history entry if the run is no longer CHANGING.

        Returns:
            Whether another process has completed the change.
        """
        with transaction.atomic(using=write_alias()):
            if not self._run().filter(state=RunState.CHANGING).exists():
                self._entries().update(last_batch_at=None)
            return bool(self._entries().filter(last_batch_at=None, state_before="").exists())

    def is_open(self) -> bool:
        """Return whether the change has been neither completed nor aborted."""
        return bool(self._entries().filter(last_batch_at__isnull=False).exists())

    def moved(self) -> int:
        """Return how many nodes were changed by all processes together."""
        return int(self._entries().values_list("nodes", flat=True).first() or 0)

    def interrupt(self) -> None:
        """Let the next sweep continue the change, without the usual delay."""
        a_day_ago = times.after(times.now(), -86_400)
        open_entries(pk=self._entry_id).update(last_batch_at=a_day_ago)

    def _refuse_to_resume(self) -> None:
        if self._is_resumed:
            raise NotPossible(ABORTED, run=self.run_id)

    def _begin_to_change(self) -> None:
        with transaction.atomic(using=write_alias()), self._locked() as entry:
            reopen(self._run().get())
            entry.refresh_from_db(fields=["state_before"])
            entry.is_checked = True
        self._is_checked = True

    @contextmanager
    def _locked(self) -> Iterator[HistoryEntry]:
        """Lock the run first, as every action on it does, and save the history entry after the block.

        Raises:
            Overtaken: if the run is not CHANGING, or the entry is closed.
        """
        if not self._run().filter(state=RunState.CHANGING).update(revision=F("revision") + 1):
            raise Overtaken
        entry = open_entries(pk=self._entry_id).first()
        if entry is None:
            raise Overtaken
        yield entry
        values = {name: getattr(entry, name) for name in ("nodes", "last_batch_at", "state_before", "is_checked")}
        self._entries().update(**values)

    def _move(self, state: str, **values: Any) -> None:
        move(self._run(), [RunState.CHANGING], RunState(state), **values)

    def _run(self) -> TreeRunQuerySet:
        return runs().filter(id=self.run_id)

    def _entries(self) -> Any:
        return HistoryEntry.objects.using(write_alias()).filter(pk=self._entry_id)


def _matching(keys: Iterable[UUID], condition: Q) -> Iterator[UUID]:
    for batch in in_batches(iter(keys)):
        yield from nodes().filter(condition, id__in=batch).values_list("id", flat=True)


def begin(run: TreeRun, action: Action, by: Any, node_id: UUID | None = None, note: str = "") -> Change:
    """Begin a change in the transaction in which the caller has locked the run. The first batch follows after commit.

    Args:
        run: the run; if it is CHANGING already, that change is aborted.
        action: the action.
        by: see :func:`django_tasktree.engine.history.record`.
        node_id: the node, if the action affects a node with its subtree.
        note: the note of the history entry.
    """
    open_entries(run_id=run.pk).update(last_batch_at=None)
    is_checked = action not in _CHECKED
    entry = record(run.pk, action, by, node_id=node_id, note=note, state_before=run.state, is_checked=is_checked)
    if run.state != RunState.CHANGING:
        move(runs().filter(id=run.pk), [RunState(run.state)], RunState.CHANGING, detached=is_detached(run))
    return Change(entry)


def state_after_change(run_id: UUID) -> str:
    """Return the state that a CHANGING run gets when the change is complete. The caller has locked the run."""
    entry: HistoryEntry | None = open_entries(run_id=run_id).first()
    if entry is None:
        return RunState.CHANGING
    ended = None if entry.node_id is not None else _ENDING.get(Action(entry.action))
    return entry.state_before if ended is None else ended


def change_states_after(run_ids: list[UUID], source: RunState, target: RunState) -> list[UUID]:
    """Let CHANGING runs get another state when their changes are complete: they can't be paused or resumed before.

    Args:
        run_ids: the runs, which the caller has locked; others than CHANGING ones are left as they are.
        source: the state that they would get.
        target: the state that they get instead.

    Returns:
        The runs for which that was changed.
    """
    changing = list(runs().filter(id__in=run_ids, state=RunState.CHANGING).values_list("id", flat=True))
    if not changing:
        return []
    entries = open_entries(run_id__in=changing, state_before=source)
    found: list[UUID] = list(entries.values_list("run_id", flat=True))
    open_entries(run_id__in=found, state_before=source).update(state_before=target)
    return found


def may_commit() -> bool:
    """Return whether batches can be committed separately: no transaction is open on the engine's database."""
    return bool(connections[write_alias()].get_autocommit())
