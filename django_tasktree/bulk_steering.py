"""Steer many runs, or many nodes with what is below them, at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from django_tasktree.engine.specs import Effect
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.result import NodeResult, TreeResult


@dataclass
class BulkOutcome:
    """What became of each.

    Attributes:
        done: key -> what was done.
        refused: key -> why it does not fit the state of that run or node.
    """

    done: dict[UUID, Effect] = field(default_factory=dict)
    refused: dict[UUID, str] = field(default_factory=dict)


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
        """Retry each; see :meth:`TreeResult.retry`."""
        return self._each(lambda handle: handle.retry(by=by))

    def launch(self, *, by: Any = None) -> BulkOutcome:
        """Launch each run that is a draft; see :meth:`TreeResult.launch`."""
        return self._each(lambda handle: handle.launch(by=by))

    def skip(self, result: Any = None, *, by: Any = None) -> BulkOutcome:
        """Skip each node, all with the same result; see :meth:`NodeResult.skip`."""
        return self._each(lambda handle: handle.skip(result, by=by))

    def preview(self, verb: str, **options: Any) -> BulkOutcome:
        """Tell what a verb would do to each by itself, without doing it."""
        return self._each(lambda handle: handle.preview(verb, **options))

    def _each(self, ask: Callable[[Any], Effect]) -> BulkOutcome:
        outcome = BulkOutcome()
        # The keys first: what is done to one may change which others the queryset finds.
        for key in list(self._queryset.values_list("pk", flat=True)):
            self._ask_one(key, ask, outcome)
        return outcome

    def _ask_one(self, key: UUID, ask: Callable[[Any], Effect], outcome: BulkOutcome) -> None:
        try:
            outcome.done[key] = ask(self._handle(key))
        except NotPossible as exc:
            outcome.refused[key] = str(exc)


def bulk(queryset: QuerySet[Any]) -> Bulk:
    """Steer all runs, or nodes, of a queryset: ``bulk(TreeRun.objects.filter(state="FAILURE")).retry(by=user)``."""
    return Bulk(queryset)
