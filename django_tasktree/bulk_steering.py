"""Steer many runs, or many nodes with what is below them, at once: here and now, or in the background."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from django_tasktree import steering
from django_tasktree.engine.specs import Effect
from django_tasktree.engine.subtree import in_chunks
from django_tasktree.exceptions import Fenced, NotPossible, RunNotFound, TaskTreeError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.purging import delete_run
from django_tasktree.result import NodeResult, TreeResult
from django_tasktree.states import NODE_FAILED
from django_tasktree.text import text_of
from django_tasktree.tree import TaskTree

#: So many rows are steered by one node of a run that works in the background.
AT_A_TIME = 200

#: The task that steers others, and the definition of the runs in which it does; their parameters name the verb.
STEERING = "django_tasktree.steer"

#: The verbs that need another permission than the one to control.
_PERMISSIONS = {"launch": "launch", "copy": "launch", "delete": "delete"}
#: What can be asked of many runs, and of many nodes.
OF_RUNS = ("launch", "pause", "resume", "retry", "revoke", "copy", "delete")
OF_NODES = ("pause", "resume", "retry", "rerun", "skip", "revoke")


@dataclass
class BulkOutcome:
    """What became of each.

    Attributes:
        done: key -> what was done.
        refused: key -> why it does not fit the state of that run or node.
        missing: keys of those that were deleted meanwhile.
    """

    done: dict[UUID, Effect] = field(default_factory=dict)
    refused: dict[UUID, str] = field(default_factory=dict)
    missing: list[UUID] = field(default_factory=list)


class Bulk:
    """The runs or nodes of a queryset, asked one after another, each in a transaction of its own.

    Those whose state does not fit are left as they are, and named in the outcome. ``by`` is the user who asks, or a
    text.

    Args:
        queryset: of ``TreeRun`` or ``NodeRun``; it is evaluated when something is asked.

    Raises:
        TypeError: it is a queryset of something else.
    """

    def __init__(self, queryset: QuerySet[Any]) -> None:
        if queryset.model not in (TreeRun, NodeRun):
            raise TypeError(f"bulk() takes a queryset of TreeRun or NodeRun, not of {queryset.model.__name__}")
        self._queryset = queryset
        self._handle: type[TreeResult] | type[NodeResult] = TreeResult if queryset.model is TreeRun else NodeResult

    def pause(self, *, by: Any = None) -> BulkOutcome:
        """Pause each; see :meth:`TreeResult.pause`."""
        return self._each(lambda handle: handle.pause(by=by))

    def resume(self, *, by: Any = None) -> BulkOutcome:
        """Resume each; see :meth:`TreeResult.resume`."""
        return self._each(lambda handle: handle.resume(by=by))

    def revoke(self, *, terminate: bool = False, by: Any = None) -> BulkOutcome:
        """Revoke each; see :meth:`TreeResult.revoke`."""
        return self._each(lambda handle: handle.revoke(terminate=terminate, by=by))

    def retry(self, *, by: Any = None) -> BulkOutcome:
        """Retry each; see :meth:`TreeResult.retry`. Nodes with nothing below them are retried many at once."""
        keys = self._keys()
        done = retry_leaves(keys, by) if self._queryset.model is NodeRun else {}
        outcome = BulkOutcome(done)
        for key in keys:
            if key not in done:
                self._ask_one(key, lambda handle: handle.retry(by=by), outcome)
        return outcome

    def launch(self, *, by: Any = None) -> BulkOutcome:
        """Launch each run that is a draft; see :meth:`TreeResult.launch`."""
        return self._each(lambda handle: handle.launch(by=by))

    def copy(self, *, by: Any = None) -> BulkOutcome:
        """Launch each run once more, as a new run; see :meth:`TreeResult.copy`."""
        return self._each(lambda handle: _copy(handle, by))

    def delete(self, *, by: Any = None) -> BulkOutcome:  # noqa: ARG002  no history is left
        """Delete each run that has ended or is a draft, with all that belongs to it."""
        return self._each(lambda handle: _delete(handle.id))

    def rerun(self, *, by: Any = None) -> BulkOutcome:
        """Run each node again; see :meth:`NodeResult.rerun`."""
        return self._each(lambda handle: handle.rerun(by=by))

    def skip(self, result: Any = None, *, by: Any = None) -> BulkOutcome:
        """Skip each node, all with the same result; see :meth:`NodeResult.skip`."""
        return self._each(lambda handle: handle.skip(result, by=by))

    def preview(self, verb: str, **options: Any) -> BulkOutcome:
        """Tell what a verb would do to each by itself, without doing it."""
        return self._each(lambda handle: handle.preview(verb, **options))

    def in_background(self, verb: str, *, by: Any = None, name: str = "", **options: Any) -> TreeResult:
        """Launch a run that asks all of them, a few hundred at a time; its pages show how far it is.

        The keys are read now: rows that the queryset would find later are not asked. Each is asked once, even if a
        worker is lost meanwhile. The run can be paused, revoked and retried as any other. Its last node sums up how
        many were asked, and why others were refused.

        Args:
            verb: the name of a method: ``"retry"``, ``"revoke"``, ``"delete"``, …
            by: who asks: a user, or a text.
            name: what the run is called; by default after the verb and the number.
            **options: what else the method takes.

        Raises:
            ValueError: there is no such method for these rows.
            TypeError: the method takes no such option.
            SerializationError: an option can't be stored.
        """
        return steer_in_background(self._queryset.model, self._keys(), verb, by=by, name=name, **options)

    def _keys(self) -> list[UUID]:
        # A queryset that joins others may find a row several times.
        return list(dict.fromkeys(self._queryset.values_list("pk", flat=True)))

    def _each(self, ask: Callable[[Any], Effect]) -> BulkOutcome:
        outcome = BulkOutcome()
        # The keys first: what is done to one may change which others the queryset finds.
        for key in self._keys():
            self._ask_one(key, ask, outcome)
        return outcome

    def _ask_one(self, key: UUID, ask: Callable[[Any], Effect], outcome: BulkOutcome) -> None:
        try:
            outcome.done[key] = ask(self._handle(key))
        except RunNotFound:
            outcome.missing.append(key)
        except Fenced:
            raise
        except TaskTreeError as exc:
            outcome.refused[key] = str(exc)


def retry_leaves(keys: Sequence[UUID], by: Any = None) -> dict[UUID, Effect]:
    """Retry those of some nodes that failed and have nothing below them, a batch of each run in a transaction.

    Returns:
        What was done to each of them; the others are left as they are.
    """
    done: dict[UUID, Effect] = {}
    for batch in in_chunks(list(keys), AT_A_TIME):
        of_run: dict[UUID, list[UUID]] = {}
        found = NodeRun.objects.filter(id__in=batch, state__in=NODE_FAILED, child_count=0)
        for key, run_id in found.values_list("id", "run_id"):
            of_run.setdefault(run_id, []).append(key)
        for run_id, some in of_run.items():
            # For example, the run has just been deleted: the caller then gets the error for each node.
            with suppress(NotPossible, RunNotFound):
                done |= steering.retry_leaves(run_id, some, by)
    return done


def steer_in_background(
    model: type[TreeRun] | type[NodeRun],
    keys: Iterable[UUID],
    verb: str,
    *,
    by: Any = None,
    name: str = "",
    **options: Any,
) -> TreeResult:
    """Launch a run that steers others.

    Args:
        model: of what is steered.
        keys: of the rows.
        verb: see :meth:`Bulk.in_background`, as for the rest and the errors.
        by: who asks.
        name: of the run.
        **options: what else the method takes.
    """
    check_steering(model, verb, options)
    keys = list(keys)
    tree = TaskTree(name or f"{verb}: {len(keys)} {model._meta.verbose_name_plural}", max_active=1)
    tree.definition, tree.params = STEERING, {"verb": verb, "of": model._meta.model_name, "number": len(keys)}
    asked = {"by": "" if by is None else text_of(by), "options": options}
    rest = iter(keys)
    while some := [str(key) for key in islice(rest, AT_A_TIME)]:
        tree.add_task(STEERING, [model._meta.model_name, verb, some], asked)
    tree.gather("django_tasktree.sum_up", run_when="always")
    return tree.apply_async(launched_by=by)


def check_steering(model: type[TreeRun] | type[NodeRun], verb: str, options: dict[str, Any]) -> None:
    """Make sure that a verb, with these options, can be asked of rows of a model in the background.

    Raises:
        ValueError: there is no such method for these rows.
        TypeError: the method takes no such option.
    """
    fitting, kind = (OF_RUNS, "runs") if model is TreeRun else (OF_NODES, "nodes")
    if verb not in fitting:
        raise ValueError(f"{verb!r} can't be asked of {kind} in the background: choose one of {', '.join(fitting)}")
    try:
        inspect.signature(getattr(Bulk, verb)).bind(None, by=None, **options)
    except TypeError as exc:
        raise TypeError(f"{verb}: {exc}") from None


def permission_to(verb: str) -> str:
    """Name the permission that a verb needs: ``"control"``, ``"launch"`` or ``"delete"``."""
    return _PERMISSIONS.get(verb, "control")


def verb_of(run: TreeRun) -> str | None:
    """Name what a run asks of others; None where it does not steer any."""
    return str(run.params.get("verb")) if run.definition == STEERING else None


def permission_of(run: TreeRun) -> str | None:
    """Name the permission that a run needs for what it asks of others; None where it does not steer any."""
    verb = verb_of(run)
    return None if verb is None else f"django_tasktree.{permission_to(verb)}_treerun"


def _copy(handle: TreeResult, by: Any) -> Effect:
    handle.copy(by=by)
    return Effect()


def _delete(run_id: UUID) -> Effect:
    return Effect(removed=delete_run(run_id))


def bulk(queryset: QuerySet[Any]) -> Bulk:
    """Steer all runs, or nodes, of a queryset: ``bulk(TreeRun.objects.filter(state="FAILURE")).retry(by=user)``."""
    return Bulk(queryset)
