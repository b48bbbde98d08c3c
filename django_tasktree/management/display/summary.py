"""Read the summary of a run: counts, errors of failed nodes, and results of the run and of its topmost nodes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Substr

from django_tasktree.client.run_value import stored_run_value
from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import replace
from django_tasktree.encoding.references import Reference
from django_tasktree.encoding.text import text_of
from django_tasktree.management.display.nodes import NodeRow, nodes_of, read
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import paths_of
from django_tasktree.reporting.progress import Progress, progress_of
from django_tasktree.states import NODE_FAILED, NodeState

#: At most this many errors and results are shown, and only results of at most this many characters as stored.
MAX_ERRORS = 10
MAX_RESULTS = 10
MAX_RESULT_LENGTH = 1000


@dataclass(frozen=True)
class Result:
    """The result of one of the topmost nodes."""

    node: NodeRow
    value: Any


@dataclass(frozen=True)
class Summary:
    """The summary of a run.

    Attributes:
        run: its row.
        progress: counts of its nodes.
        errors: the nodes that failed, or some of them.
        paths: the paths of these nodes, by their IDs; see :func:`django_tasktree.reporting.node_paths.paths_of`.
        value: the result of the run; None if it has none, or a long one.
        results: short results of root nodes, and of gather nodes directly under the run or a root node.
    """

    run: TreeRun
    progress: Progress
    errors: list[NodeRow]
    paths: dict[UUID, str]
    value: Any
    results: list[Result]

    @property
    def errors_left_out(self) -> int:
        """The number of failed nodes that are not in ``errors``."""
        return sum(self.progress.by_state.get(state, 0) for state in NODE_FAILED) - len(self.errors)


def summary_of(run: TreeRun) -> Summary:
    """Return the summary of a run, read in a fixed number of queries; twice if its state changed in the meantime.

    Args:
        run: its row, just read.
    """
    summary = _read(run)
    again = run if run.is_over else TreeRun.objects.get(id=run.id)
    return summary if again.state == run.state else _read(again)


def stored_result(text: str) -> Any:
    """Return a stored result; if it can't be loaded in this process, the error message in angle brackets."""
    try:
        return serialization.loads(text)
    except (ValueError, RecursionError) as exc:
        # Types that the project has registered may be unknown to this process.
        return f"<{text_of(exc)}>"


def _read(run: TreeRun) -> Summary:
    # FAILURE sorts before REVOKED: nodes that were revoked because of a failure are less informative.
    failed = nodes_of(run.id).filter(state__in=NODE_FAILED).order_by("state", "id")
    errors = read(failed[:MAX_ERRORS])
    paths = paths_of(row.id for row in errors)
    return Summary(run, progress_of(run), errors, paths, _value_of(run), _results(run.id))


def _value_of(run: TreeRun) -> Any:
    stored = stored_run_value(run)
    if stored is None or len(stored) > MAX_RESULT_LENGTH:
        return None
    return replace(stored_result(stored), Reference, lambda reference: f"<{reference} of {reference.node}>")


def _results(run_id: UUID) -> list[Result]:
    """Return the results of the topmost nodes, root nodes first."""
    roots = list(NodeRun.objects.under(run_id, None).in_order().values_list("id", flat=True)[:MAX_RESULTS])
    top = nodes_of(run_id).filter(Q(id__in=roots) | Q(parent_id__in=roots, is_gather=True))
    done = top.filter(state=NodeState.SUCCESS, result__isnull=False)
    results = _read_results(done.order_by("is_gather", "parent_id", "position")[: 2 * MAX_RESULTS])
    return sorted(results, key=lambda result: result.node.parent_id is not None)


def _read_results(nodes: Any) -> list[Result]:
    texts: dict[UUID, str] = dict(
        nodes.annotate(head=Substr("result", 1, MAX_RESULT_LENGTH + 1)).values_list("id", "head")
    )
    short = {key: text for key, text in texts.items() if len(text) <= MAX_RESULT_LENGTH}
    return [Result(row, stored_result(short[row.id])) for row in read(nodes) if row.id in short]
