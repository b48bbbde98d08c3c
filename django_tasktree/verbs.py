"""The verbs of control, as the admin, the command line and the views offer them: the same words and rules everywhere.

What a verb does stands in :mod:`django_tasktree.steering`; whether it fits, the engine alone decides. Here stands only
where it is worth being offered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from django_tasktree.engine.specs import Effect
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NODE_FAILED, NODE_FINAL, RUN_OPEN, RUN_STOPPABLE, Hold, NodeState, RunState

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be asked of a run, or of a node with all below it.

    Attributes:
        name: the name of the handles' method, of the command and of the URL.
        label: on a button.
        explained: what it does, in one sentence.
        may_fit_run: tells by its row whether it is worth being offered for a run; None: not for runs.
        may_fit_node: the same for a node and its run.
        options: names of the method's further parameters.
        is_grave: whether it ends something.
    """

    name: str
    label: Text
    explained: Text
    may_fit_run: Callable[[TreeRun], bool] | None = None
    may_fit_node: Callable[[NodeRun, TreeRun], bool] | None = None
    options: tuple[str, ...] = ()
    is_grave: bool = False

    def ask(self, handle: Any, *, by: Any, **options: Any) -> Effect:
        """Do it.

        Args:
            handle: a ``TreeResult`` or ``NodeResult``.
            by: who asks.
            **options: see ``options``.

        Raises:
            NotPossible: it does not fit the state.
        """
        effect: Effect = getattr(handle, self.name)(by=by, **options)
        return effect

    def preview(self, handle: Any, **options: Any) -> Effect:
        """Tell what it would do now.

        Raises:
            NotPossible: it does not fit the state.
        """
        effect: Effect = handle.preview(self.name, **options)
        return effect


def _has_something_to_revoke(node: NodeRun, run: TreeRun) -> bool:
    return run.state in RUN_OPEN and not node.settled


def _waits_or_failed(node: NodeRun, run: TreeRun) -> bool:
    states = (NodeState.QUEUED, NodeState.RETRY, NodeState.FAILURE, NodeState.REVOKED)
    waits_for_a_place = node.state == NodeState.PENDING and node.ready
    return run.state != RunState.DRAFT and (node.state in states or waits_for_a_place)


def _has_something_to_retry(run: TreeRun) -> bool:
    if run.state in RUN_OPEN:
        return NodeRun.objects.filter(run_id=run.pk, state__in=NODE_FAILED).exists()
    return run.state in (RunState.FAILURE, RunState.REVOKED)


_ALL = (
    Verb(
        "launch",
        _("Launch"),
        _("Start a draft now."),
        may_fit_run=lambda run: run.state == RunState.DRAFT,
    ),
    Verb(
        "pause",
        _("Pause"),
        _("Let nothing new start; tasks that are running end."),
        may_fit_run=lambda run: run.state == RunState.STARTED,
        may_fit_node=lambda node, run: run.state in RUN_OPEN and not node.settled and node.hold == Hold.NONE,
    ),
    Verb(
        "resume",
        _("Resume"),
        _("Go on after a pause."),
        may_fit_run=lambda run: run.state == RunState.PAUSED,
        may_fit_node=lambda node, run: run.state in RUN_OPEN and node.hold == Hold.PAUSED,
    ),
    Verb(
        "retry",
        _("Retry"),
        _("Run again what failed or was revoked, and what was not reached because of it; what succeeded stays."),
        may_fit_run=_has_something_to_retry,
        may_fit_node=lambda node, run: run.state != RunState.DRAFT and (node.failed or node.state in NODE_FAILED),
    ),
    Verb(
        "rerun",
        _("Run again from here"),
        _("Run the node again, even if it succeeded, with all below it and the gather nodes that wait for it."),
        may_fit_node=lambda node, run: run.state != RunState.DRAFT and node.state in NODE_FINAL,
    ),
    Verb(
        "skip",
        _("Skip"),
        _("Let the node count as if it had succeeded, with the result that you give."),
        may_fit_node=_waits_or_failed,
        options=("result",),
    ),
    Verb(
        "revoke",
        _("Revoke"),
        _("Let what has not started never start; a run that is revoked has ended at once."),
        may_fit_run=lambda run: run.state in RUN_STOPPABLE,
        may_fit_node=_has_something_to_revoke,
        options=("terminate",),
        is_grave=True,
    ),
)

#: name -> verb, in the order in which they are offered.
VERBS: dict[str, Verb] = {verb.name: verb for verb in _ALL}


def verbs_of_runs() -> list[Verb]:
    """The verbs that runs can be asked for."""
    return [verb for verb in _ALL if verb.may_fit_run is not None]


def verbs_of_nodes() -> list[Verb]:
    """The verbs that nodes can be asked for."""
    return [verb for verb in _ALL if verb.may_fit_node is not None]


def fitting_run(run: TreeRun) -> list[Verb]:
    """The verbs that are worth being offered for a run."""
    return [verb for verb in _ALL if verb.may_fit_run is not None and verb.may_fit_run(run)]


def fitting_node(node: NodeRun, run: TreeRun) -> list[Verb]:
    """The verbs that are worth being offered for a node."""
    return [verb for verb in _ALL if verb.may_fit_node is not None and verb.may_fit_node(node, run)]
