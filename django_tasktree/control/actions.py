"""The table of actions. Handles, ``bulk()``, the command line, the views and the admin offer exactly these.

The module :mod:`django_tasktree.control.operations` implements the actions, and the engine decides whether an action is
possible. The table contains the name of each action, where it makes sense, its options and the permission for it.
``tests/integration/control/test_table_of_actions.py`` compares it with everything that offers actions.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from django_tasktree.builder.eligibility import ACT_IN_BACKGROUND
from django_tasktree.control import purge
from django_tasktree.engine.control import preview as engine_preview
from django_tasktree.engine.rules import IS_WAITING
from django_tasktree.engine.types import Effect
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import (
    NODE_FAILED,
    NODE_FINAL,
    RUN_GOING,
    RUN_OPEN,
    RUN_STOPPABLE,
    Hold,
    RunState,
)

Text = str | Promise
Permission = Literal["control", "launch", "delete"]


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of an action.

    Attributes:
        effect: the numbers of nodes that were affected.
        copy_id: the ID of the new run, if the action has launched one.
    """

    effect: Effect
    copy_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ActionType:
    """An action on a run, or on a node with its subtree.

    Attributes:
        name: the name of the handles' method, of the subcommand, and in URLs.
        label: the text of the button.
        explained: a description in one or two sentences.
        find_effect: returns the effect that the action would have on a run, or on a node of a run, without changing
            anything; raises ``NotPossible`` if the action itself would.
        may_fit_run: whether to offer the action for a run, judged by its row; None if runs do not have the action.
        may_fit_node: whether to offer the action for a node, judged by its row and that of its run; None if nodes do
            not have the action.
        options: the further parameters of the method, the command, the view and the admin's form.
        run_options: parameters that only the method of a run's handle takes, because they are Python objects.
        permission: the permission for the action: ``django_tasktree.<permission>_treerun``.
        is_destructive: whether the action ends or deletes something.
        is_slow: whether the admin leaves the action to a worker if it affects many nodes. Do not set it for an action
            that stops something.
    """

    name: str
    label: Text
    explained: Text
    find_effect: Callable[..., Effect]
    may_fit_run: Callable[[TreeRun], bool] | None = None
    may_fit_node: Callable[[NodeRun, TreeRun], bool] | None = None
    options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    permission: Permission = "control"
    is_destructive: bool = False
    is_slow: bool = False

    @property
    def full_permission(self) -> str:
        """The permission in Django's notation, ``app_label.codename``."""
        return f"django_tasktree.{self.permission}_treerun"

    def carry_out(self, handle: Any, *, by: Any, **options: Any) -> Done:
        """Carry out the action.

        Args:
            handle: the ``TreeResult`` or ``NodeResult`` to act on.
            by: the user, or a text that names the program or person.
            **options: values for the parameters in ``options``.

        Raises:
            NotPossible: the state of the run or node does not allow the action.
        """
        found = getattr(handle, self.name)(by=by, **options)
        return Done(found) if isinstance(found, Effect) else Done(Effect(), found.id)


def _may_be_acted_on(run: TreeRun) -> bool:
    """Return whether actions on single nodes of the run are possible, such as retry and complete."""
    return run.state not in (RunState.DRAFT, RunState.CHANGING)


def _has_something_to_revoke(node: NodeRun, run: TreeRun) -> bool:
    return run.state in RUN_GOING and not node.settled


def _waits_or_failed(node: NodeRun, run: TreeRun) -> bool:
    return _may_be_acted_on(run) and (IS_WAITING.holds(node) or node.state in NODE_FAILED)


def _has_something_to_retry(run: TreeRun) -> bool:
    if run.state in RUN_GOING:
        return NodeRun.objects.filter(run_id=run.pk, state__in=NODE_FAILED).exists()
    return run.state in (RunState.FAILURE, RunState.REVOKED)


_ALL = (
    ActionType(
        "launch",
        _("Launch"),
        _("Start a draft now."),
        engine_preview.launch,
        may_fit_run=lambda run: run.state == RunState.DRAFT,
        permission="launch",
    ),
    ActionType(
        "pause",
        _("Pause"),
        _("Start no new tasks. Running tasks may finish."),
        engine_preview.pause,
        may_fit_run=lambda run: run.state == RunState.STARTED,
        may_fit_node=lambda node, run: run.state in RUN_GOING and not node.settled and node.hold == Hold.NONE,
    ),
    ActionType(
        "resume",
        _("Resume"),
        _("Continue after a pause."),
        engine_preview.resume,
        may_fit_run=lambda run: run.state == RunState.PAUSED,
        may_fit_node=lambda node, run: run.state in RUN_GOING and node.hold == Hold.PAUSED,
    ),
    ActionType(
        "retry",
        _("Retry"),
        _(
            "Run failed and revoked nodes again, and the nodes that were not reached because of them. "
            "Successful nodes keep their results."
        ),
        engine_preview.retry,
        may_fit_run=_has_something_to_retry,
        may_fit_node=lambda node, run: _may_be_acted_on(run) and (node.subtree_failed or node.state in NODE_FAILED),
        run_options=("from_node",),
        is_slow=True,
    ),
    ActionType(
        "rerun",
        _("Run again from here"),
        _("Run the node again, even if it succeeded, with its subtree and the gather nodes that wait for it."),
        engine_preview.rerun,
        may_fit_node=lambda node, run: _may_be_acted_on(run) and node.state in NODE_FINAL,
        is_slow=True,
    ),
    ActionType(
        "complete",
        _("Complete"),
        _("Give the node a result, as if its task had succeeded."),
        engine_preview.complete,
        may_fit_node=_waits_or_failed,
        options=("result",),
    ),
    ActionType(
        "revoke",
        _("Revoke"),
        _("Cancel all nodes that have not started. Revoking a run ends it at once."),
        engine_preview.revoke,
        may_fit_run=lambda run: run.state in RUN_STOPPABLE,
        may_fit_node=_has_something_to_revoke,
        options=("terminate",),
        is_destructive=True,
    ),
    ActionType(
        "copy",
        _("Launch again"),
        _("Launch the same tree once more, as a new run. This run is not changed."),
        engine_preview.copy,
        may_fit_run=lambda run: run.state != RunState.DRAFT and run.definition != ACT_IN_BACKGROUND,
        run_options=("params",),
        permission="launch",
    ),
    ActionType(
        "delete",
        _("Delete"),
        _("Delete the run with its nodes, their results, attempts and history. This can't be undone."),
        purge.preview_deletion,
        may_fit_run=lambda run: run.state not in RUN_OPEN,
        permission="delete",
        is_destructive=True,
        is_slow=True,
    ),
)

#: The actions by name, in the order in which they are offered.
ACTIONS: dict[str, ActionType] = {action.name: action for action in _ALL}


#: The permission to complete wait nodes, and nothing else.
ANSWER = "django_tasktree.answer_treerun"


def is_answer(action: ActionType, row: Any) -> bool:
    """Return whether an action on a row completes a wait node: then the permission :data:`ANSWER` is enough."""
    return action.name == "complete" and isinstance(row, NodeRun) and row.is_wait


def run_actions() -> dict[str, ActionType]:
    """Return the actions on runs, by name."""
    return {name: action for name, action in ACTIONS.items() if action.may_fit_run is not None}


def node_actions() -> dict[str, ActionType]:
    """Return the actions on nodes, by name."""
    return {name: action for name, action in ACTIONS.items() if action.may_fit_node is not None}


def available_for_run(run: TreeRun) -> list[ActionType]:
    """Return the actions to offer for a run."""
    return [action for action in _ALL if action.may_fit_run is not None and action.may_fit_run(run)]


def available_for_node(node: NodeRun, run: TreeRun) -> list[ActionType]:
    """Return the actions to offer for a node."""
    return [action for action in _ALL if action.may_fit_node is not None and action.may_fit_node(node, run)]


def find_action(name: Any, *, on_nodes: bool) -> ActionType:
    """Return the action of this name on runs, or on nodes.

    Raises:
        ValueError: there is no such action on runs, or on nodes.
    """
    known, what = (node_actions(), "nodes") if on_nodes else (run_actions(), "runs")
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"there is no action {name!r} on {what}: choose one of {', '.join(known)}")
    return known[name]


def check_options(method: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check that the method of an action takes these options.

    Args:
        method: a function of a class of handles, or of ``Bulk``.
        options: its keyword arguments by name.

    Raises:
        TypeError: it does not take one of them; the message lists those that it takes.
    """
    parameters = [each for each in inspect.signature(method).parameters.values() if each.name != "self"]
    if any(each.kind == each.VAR_KEYWORD for each in parameters):
        return
    known = [each.name for each in parameters]
    for name in options:
        if name not in known:
            closest = get_close_matches(name, known, n=1)
            hint = f"; did you mean {closest[0]!r}?" if closest else "."
            raise TypeError(
                f"{method.__name__}: got an unexpected keyword argument {name!r}{hint} "
                f"The options are {', '.join(known)}."
            )


def preview(name: str, run_id: UUID, node_id: UUID | None = None) -> Effect:
    """Return what an action would do now, without changing anything.

    Args:
        name: the name of the action.
        run_id: the run.
        node_id: the node; None for the run as a whole.

    Raises:
        NotPossible: the action itself would raise it.
        ValueError: there is no such action on runs, or on nodes.
    """
    find = find_action(name, on_nodes=node_id is not None).find_effect
    return find(run_id) if node_id is None else find(run_id, node_id)
