"""The summary of a run: state, counts of nodes by state, times and parameters."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from django_tasktree.admin import rendering
from django_tasktree.encoding.text import readable_json
from django_tasktree.models import TreeRun
from django_tasktree.reporting.node_counts import Look
from django_tasktree.reporting.progress import progress_of
from django_tasktree.reporting.progress_bar import progress_bar
from django_tasktree.states import NodeState


def run_summary(run: TreeRun, look: Look, *, text: bool) -> dict[str, Any]:
    """Return the context of the template.

    Args:
        run: the run.
        look: how much may be counted.
        text: whether durations include their text while the browser updates them; see :func:`rendering.lasting`.
    """
    progress = progress_of(run, look)
    return {
        "subtitle": rendering.run_title(run),
        "run": run,
        "badge": rendering.run_badge(run),
        "bar": progress_bar(progress),
        "is_counted": progress.is_counted,
        "counts": [
            {"state": state, "badge": rendering.node_state_badge(state, run), "number": progress.by_state[state]}
            for state in NodeState
            if progress.by_state.get(state)
        ],
        "times": [
            (_("created"), rendering.moment(run.created_at)),
            *([(_("due"), rendering.moment(run.eta))] if run.eta else []),
            *([(_("deadline"), rendering.moment(run.deadline))] if run.deadline else []),
            (_("started"), rendering.moment(run.started_at)),
            (_("finished"), rendering.moment(run.finished_at)),
            (_("duration"), rendering.lasting(run, text=text)),
        ],
        "params": readable_json(run.params, indent=2) if run.params else "",
    }
