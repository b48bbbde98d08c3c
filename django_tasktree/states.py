"""The states of nodes and runs, and the one table of legal moves between them.

The names are Celery's (``celery.states``) as far as they go. Nothing outside ``django_tasktree.engine`` writes a state.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class NodeState(models.TextChoices):
    """What has become of a node."""

    PENDING = "PENDING", _("pending")
    QUEUED = "QUEUED", _("queued")
    STARTED = "STARTED", _("started")
    RETRY = "RETRY", _("retry")
    SUCCESS = "SUCCESS", _("success")
    FAILURE = "FAILURE", _("failure")
    REVOKED = "REVOKED", _("revoked")
    SKIPPED = "SKIPPED", _("skipped")


class RunState(models.TextChoices):
    """What has become of a run."""

    DRAFT = "DRAFT", _("draft")
    STARTED = "STARTED", _("started")
    PAUSED = "PAUSED", _("paused")
    SUCCESS = "SUCCESS", _("success")
    FAILURE = "FAILURE", _("failure")
    REVOKED = "REVOKED", _("revoked")


class RunWhen(models.TextChoices):
    """How the parent of a node must have ended for the node to run."""

    SUCCESS = "success", _("after success")
    FAILURE = "failure", _("after failure")
    ALWAYS = "always", _("always")


class OnFailure(models.TextChoices):
    """What a failure in a tree, or in a node's subtree, means for the rest of it."""

    CONTINUE = "continue", _("the rest goes on")
    STOP = "stop", _("the rest is revoked")


class OnWorkerLost(models.TextChoices):
    """What becomes of a node whose worker, or whose process in it, was lost while its body ran."""

    RETRY = "retry", _("it runs again")
    FAIL = "fail", _("it fails")


class Hold(models.TextChoices):
    """What keeps a node from starting, apart from its parent and its run."""

    NONE = "", _("nothing")
    PAUSED = "paused", _("its subtree is paused")
    STOPPED = "stopped", _("its subtree was revoked")


_N = NodeState

#: state -> the states that a node may move to from there.
NODE_MOVES: dict[NodeState, frozenset[NodeState]] = {
    # SUCCESS: somebody skipped it, with the result that it should have had.
    _N.PENDING: frozenset({_N.QUEUED, _N.SKIPPED, _N.REVOKED, _N.SUCCESS}),
    # PENDING: its message came during a pause. FAILURE: the message could not be made, or no worker knows the task.
    # REVOKED: it expired, or was revoked here or through Celery.
    _N.QUEUED: frozenset({_N.STARTED, _N.PENDING, _N.FAILURE, _N.REVOKED, _N.SUCCESS}),
    # QUEUED: the attempt was lost or handed back. SKIPPED: the body raised Ignore.
    _N.STARTED: frozenset({_N.SUCCESS, _N.FAILURE, _N.RETRY, _N.QUEUED, _N.REVOKED, _N.SKIPPED}),
    _N.RETRY: frozenset({_N.STARTED, _N.PENDING, _N.FAILURE, _N.REVOKED, _N.SUCCESS}),
    # What is run again goes back to where it came from.
    _N.SUCCESS: frozenset({_N.PENDING}),
    _N.FAILURE: frozenset({_N.PENDING}),
    _N.REVOKED: frozenset({_N.PENDING}),
    _N.SKIPPED: frozenset({_N.PENDING}),
}

#: A node in one of these waits for a worker: a message that bears its task id may claim it.
CLAIMABLE = frozenset({_N.QUEUED, _N.RETRY})
#: A node in one of these has a message under way or a body that runs.
ACTIVE = frozenset({_N.QUEUED, _N.STARTED, _N.RETRY})
#: A node in one of these has no body that runs, and may yet get one.
NOT_STARTED = frozenset({_N.PENDING, _N.QUEUED, _N.RETRY})
#: A node in one of these is over; Celery calls these the ready states.
NODE_FINAL = frozenset({_N.SUCCESS, _N.FAILURE, _N.REVOKED, _N.SKIPPED})
#: A node in one of these did not do what it was asked to.
NODE_FAILED = frozenset({_N.FAILURE, _N.REVOKED})
#: A run in one of these is over.
RUN_FINAL = frozenset({RunState.SUCCESS, RunState.FAILURE, RunState.REVOKED})
#: A run in one of these still has something to do.
RUN_OPEN = frozenset({RunState.STARTED, RunState.PAUSED})
#: A run in one of these has not ended, whether or not it was launched.
RUN_STOPPABLE = RUN_OPEN | {RunState.DRAFT}


def fitting(state: NodeState) -> frozenset[RunWhen]:
    """Tell which ``run_when`` of a child fits a parent that ended in this state.

    Args:
        state: a final state of the parent.

    Returns:
        The values of ``run_when`` that let a child run; none after SKIPPED, which nothing follows.
    """
    if state == NodeState.SUCCESS:
        return frozenset({RunWhen.SUCCESS, RunWhen.ALWAYS})
    if state in NODE_FAILED:
        return frozenset({RunWhen.FAILURE, RunWhen.ALWAYS})
    return frozenset()


def may_move(source: NodeState, target: NodeState) -> bool:
    """Tell whether a node may move from one state to another."""
    return target in NODE_MOVES[source]
