"""Actions on many runs, or on many nodes with their subtrees, in this process or in the background."""

import reprlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.db.models.manager import BaseManager

from django_tasktree.builder.eligibility import ACT_IN_BACKGROUND
from django_tasktree.client.node_result import NodeResult
from django_tasktree.client.tree import TaskTree
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.control import operations
from django_tasktree.control.actions import ACTIONS, check_options, find_action
from django_tasktree.encoding.text import text_of
from django_tasktree.engine.history import user_of
from django_tasktree.engine.traversal import in_chunks
from django_tasktree.engine.types import Effect
from django_tasktree.exceptions import NotPossible, RunNotFound, StaleAttempt, TaskTreeError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NODE_FAILED

#: How many rows each node of a background run handles; also the batch size of :func:`retry_leaves`.
AT_A_TIME = 200


@dataclass
class BulkOutcome:
    """The outcome of an action on many runs or nodes.

    Attributes:
        done: the effect on each run or node on which the action was carried out, by its ID.
        refused: the reason why the action was not possible, by the ID of the run or node.
        missing: the IDs of rows that were deleted before they were handled.
    """

    done: dict[UUID, Effect] = field(default_factory=dict)
    refused: dict[UUID, str] = field(default_factory=dict)
    missing: list[UUID] = field(default_factory=list)


class Bulk:
    """The actions on the runs or nodes of a queryset, which are handled one after another.

    Each row is handled in a transaction of its own (``retry`` handles failed nodes without children in batches). Rows
    whose state does not allow the action are left unchanged, and the outcome names them. ``by`` is the user, or a text
    that names the program or person; the history records it.

    Args:
        queryset: a queryset of ``TreeRun`` or ``NodeRun``; each action evaluates it again.

    Raises:
        TypeError: it is not a queryset, or one of another model, or the result of ``union()``, ``intersection()`` or
            ``difference()``.

    All methods raise ValueError if the rows do not have the action: runs can't be completed, nodes can't be deleted.
    """

    def __init__(self, queryset: QuerySet[Any] | BaseManager[Any]) -> None:
        if not isinstance(queryset, (QuerySet, BaseManager)):
            raise TypeError(
                f"bulk() takes a queryset of TreeRun or NodeRun, not {reprlib.repr(queryset)}: for single runs and "
                "nodes use filter(pk__in=…), or the methods of their handles"
            )
        if queryset.model not in (TreeRun, NodeRun):
            raise TypeError(f"bulk() takes a queryset of TreeRun or NodeRun, not of {queryset.model.__name__}")
        self._queryset: QuerySet[Any] = queryset.all()
        combinator = self._queryset.query.combinator
        if combinator:
            # SQLite can't evaluate them if their rows are sorted, as runs are.
            raise TypeError(
                f"bulk() takes no queryset that {combinator}() returned: combine querysets with | and & instead, or "
                "use filter() and exclude()"
            )
        self._handle: type[TreeResult] | type[NodeResult] = TreeResult if queryset.model is TreeRun else NodeResult

    def pause(self, *, by: Any = None) -> BulkOutcome:
        """Pause each run or node; see :meth:`TreeResult.pause`."""
        return self._each("pause", lambda handle: handle.pause(by=by))

    def resume(self, *, by: Any = None) -> BulkOutcome:
        """Resume each run or node; see :meth:`TreeResult.resume`."""
        return self._each("resume", lambda handle: handle.resume(by=by))

    def revoke(self, *, terminate: bool = False, by: Any = None) -> BulkOutcome:
        """Revoke each run or node; see :meth:`TreeResult.revoke`."""
        return self._each("revoke", lambda handle: handle.revoke(terminate=terminate, by=by))

    def retry(self, *, by: Any = None) -> BulkOutcome:
        """Retry each run or node; see :meth:`TreeResult.retry`.

        Failed nodes without children are retried in batches, one transaction for those of a run.
        """
        keys = self._keys()
        done = retry_leaves(keys, by) if self._queryset.model is NodeRun else {}
        outcome = BulkOutcome(done)
        for key in keys:
            if key not in done:
                self._act_on_one(key, lambda handle: handle.retry(by=by), outcome)
        return outcome

    def launch(self, *, by: Any = None) -> BulkOutcome:
        """Launch each draft; see :meth:`TreeResult.launch`."""
        return self._each("launch", lambda handle: handle.launch(by=by))

    def copy(self, *, by: Any = None) -> BulkOutcome:
        """Launch each run once more, as a new run; see :meth:`TreeResult.copy`."""
        return self._each("copy", lambda handle: _copy(handle, by))

    def delete(self, *, by: Any = None) -> BulkOutcome:
        """Delete each run that has ended or is a draft; see :meth:`TreeResult.delete`."""
        return self._each("delete", lambda handle: handle.delete(by=by))

    def rerun(self, *, by: Any = None) -> BulkOutcome:
        """Run each node again; see :meth:`NodeResult.rerun`."""
        return self._each("rerun", lambda handle: handle.rerun(by=by))

    def complete(self, result: Any = None, *, by: Any = None) -> BulkOutcome:
        """Complete each node, all with the same result; see :meth:`NodeResult.complete`."""
        return self._each("complete", lambda handle: handle.complete(result, by=by))

    def preview(self, action: str, **options: Any) -> BulkOutcome:
        """Return what an action would do to each run or node by itself, without doing it.

        Args:
            action: the name of a method: ``"retry"``, ``"revoke"``, ``"delete"``, …
            **options: the arguments of the method.

        Raises:
            ValueError: there is no such action on these rows.
            TypeError: the method does not take one of the options.
        """
        check_action(self._queryset.model, action, options)
        return self._each(action, lambda handle: handle.preview(action, **options))

    def in_background(self, action: str, *, by: Any = None, name: str = "", **options: Any) -> TreeResult:
        """Launch a run whose nodes carry out the action, 200 rows each; its pages show the progress.

        The IDs are read now, so rows that match the queryset only later are not handled. Each row is handled once,
        even if a worker is lost meanwhile. The run can be paused, revoked and retried like any other run. The result of
        its last node contains the numbers of rows, and the first reasons of refusals.

        Example::

            failed = TreeRun.objects.filter(state="FAILURE")
            run = bulk(failed).in_background("retry", by=user)

        Args:
            action: the name of a method: ``"retry"``, ``"revoke"``, ``"delete"``, …
            by: the user, or a text that names the program or person.
            name: the name of the run; by default the action and the number of rows.
            **options: further arguments of the method.

        Returns:
            The handle of the run that was launched.

        Raises:
            ValueError: there is no such action on these rows.
            TypeError: the method does not take one of the options.
            SerializationError: an option can't be stored.
        """
        return act_in_background(self._queryset.model, self._keys(), action, by=by, name=name, **options)

    async def alaunch(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`launch`, without blocking the event loop."""
        return await sync_to_async(self.launch)(by=by)

    async def apause(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`pause`, without blocking the event loop."""
        return await sync_to_async(self.pause)(by=by)

    async def aresume(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`resume`, without blocking the event loop."""
        return await sync_to_async(self.resume)(by=by)

    async def aretry(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`retry`, without blocking the event loop."""
        return await sync_to_async(self.retry)(by=by)

    async def arerun(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`rerun`, without blocking the event loop."""
        return await sync_to_async(self.rerun)(by=by)

    async def acomplete(self, result: Any = None, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`complete`, without blocking the event loop."""
        return await sync_to_async(self.complete)(result, by=by)

    async def arevoke(self, *, terminate: bool = False, by: Any = None) -> BulkOutcome:
        """Like :meth:`revoke`, without blocking the event loop."""
        return await sync_to_async(self.revoke)(terminate=terminate, by=by)

    async def acopy(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`copy`, without blocking the event loop."""
        return await sync_to_async(self.copy)(by=by)

    async def adelete(self, *, by: Any = None) -> BulkOutcome:
        """Like :meth:`delete`, without blocking the event loop."""
        return await sync_to_async(self.delete)(by=by)

    async def apreview(self, action: str, **options: Any) -> BulkOutcome:
        """Like :meth:`preview`, without blocking the event loop."""
        return await sync_to_async(self.preview)(action, **options)

    async def ain_background(self, action: str, *, by: Any = None, name: str = "", **options: Any) -> TreeResult:
        """Like :meth:`in_background`, without blocking the event loop."""
        return await sync_to_async(self.in_background)(action, by=by, name=name, **options)

    def _keys(self) -> list[UUID]:
        # A queryset with joins may return the same row several times.
        return list(dict.fromkeys(self._queryset.values_list("pk", flat=True)))

    def _each(self, action: str, act: Callable[[Any], Effect]) -> BulkOutcome:
        find_action(action, on_nodes=self._queryset.model is NodeRun)
        outcome = BulkOutcome()
        # Read all IDs first: the action on one row may change which other rows the queryset returns.
        for key in self._keys():
            self._act_on_one(key, act, outcome)
        return outcome

    def _act_on_one(self, key: UUID, act: Callable[[Any], Effect], outcome: BulkOutcome) -> None:
        try:
            outcome.done[key] = act(self._handle(key))
        except RunNotFound:
            outcome.missing.append(key)
        except StaleAttempt:
            raise
        except TaskTreeError as exc:
            outcome.refused[key] = str(exc)


def retry_leaves(keys: Sequence[UUID], by: Any = None) -> dict[UUID, Effect]:
    """Retry those of the given nodes that failed or were revoked and have no children.

    Nodes are handled in batches, with one transaction for the nodes of a run in a batch.

    Args:
        keys: the IDs of nodes, possibly of several runs.
        by: the user, or a text that names the program or person.

    Returns:
        The effect on each node that was retried, by its ID. All other nodes are unchanged.
    """
    done: dict[UUID, Effect] = {}
    for batch in in_chunks(list(keys), AT_A_TIME):
        of_run: dict[UUID, list[UUID]] = {}
        found = NodeRun.objects.filter(id__in=batch, state__in=NODE_FAILED, child_count=0)
        for key, run_id in found.values_list("id", "run_id"):
            of_run.setdefault(run_id, []).append(key)
        for run_id, some in of_run.items():
            # For example, the run was just deleted. The caller handles its nodes one by one and gets the error of each.
            with suppress(NotPossible, RunNotFound):
                done |= operations.retry_leaves(run_id, some, by)
    return done


def act_in_background(
    model: type[TreeRun] | type[NodeRun],
    keys: Iterable[UUID],
    action: str,
    *,
    by: Any = None,
    name: str = "",
    run_id: UUID | None = None,
    **options: Any,
) -> TreeResult:
    """Launch a run that carries out an action on many runs or nodes; see :meth:`Bulk.in_background`.

    Args:
        model: the model of the rows.
        keys: the primary keys of the rows.
        action: the name of a method of :class:`Bulk`.
        by: the user, or a text that names the program or person.
        name: the name of the run; by default the action and the number of rows.
        run_id: the ID of the new run; by default a generated one.
        **options: further arguments of the method.

    Raises:
        ValueError, TypeError, SerializationError: see :meth:`Bulk.in_background`.
    """
    check_action(model, action, options)
    keys = list(keys)
    tree = TaskTree(name or f"{action}: {len(keys)} {model._meta.verbose_name_plural}", max_active=1)
    tree.definition = ACT_IN_BACKGROUND
    tree.params = {"action": action, "of": model._meta.model_name, "number": len(keys)}
    given = {"by": "" if by is None else text_of(by), "options": options}
    rest = iter(keys)
    while some := [str(key) for key in islice(rest, AT_A_TIME)]:
        tree.add_task(ACT_IN_BACKGROUND, [model._meta.model_name, action, some], given)
    tree.gather("django_tasktree.sum_up", run_when="always")
    return tree.apply_async(launched_by=user_of(by), run_id=run_id)


def check_action(model: type[TreeRun] | type[NodeRun], action: str, options: dict[str, Any]) -> None:
    """Check that an action exists for the rows of a model, and takes these options.

    Raises:
        ValueError: there is no such action on these rows.
        TypeError: the method does not take one of the options.
    """
    find_action(action, on_nodes=model is NodeRun)
    check_options(getattr(Bulk, action), options)


def permission_of(run: TreeRun) -> str | None:
    """Return the permission for the action that a background run carries out; None for any other run."""
    if run.definition != ACT_IN_BACKGROUND:
        return None
    return ACTIONS[run.params["action"]].full_permission


def _copy(handle: TreeResult, by: Any) -> Effect:
    handle.copy(by=by)
    return Effect()


def bulk(queryset: QuerySet[Any] | BaseManager[Any]) -> Bulk:
    """Return an object whose methods act on all runs, or nodes, of a queryset.

    Example::

        outcome = bulk(TreeRun.objects.filter(state="FAILURE")).retry(by=user)
        for run_id, reason in outcome.refused.items():
            print(run_id, reason)

    Args:
        queryset: a queryset of ``TreeRun`` or ``NodeRun``.

    Raises:
        TypeError: it is a queryset of another model, or the result of ``union()``, ``intersection()`` or
            ``difference()``.
    """
    return Bulk(queryset)
