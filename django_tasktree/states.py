"""The states of nodes and runs, and the tables of valid transitions between them.

States that Celery has too have Celery's names (``celery.states``). Only ``django_tasktree.engine.transitions`` writes
states.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class NodeState(models.TextChoices):
    """The state of a node."""

    PENDING = "PENDING", _("pending")
    QUEUED = "QUEUED", _("queued")
    STARTED = "STARTED", _("started")
    RETRY = "RETRY", _("retry")
    WAITING = "WAITING", _("waiting")
    SUCCESS = "SUCCESS", _("success")
    FAILURE = "FAILURE", _("failure")
    REVOKED = "REVOKED", _("revoked")
    SKIPPED = "SKIPPED", _("skipped")


class RunState(models.TextChoices):
    """The state of a run."""

    DRAFT = "DRAFT", _("draft")
    STARTED = "STARTED", _("started")
    PAUSED = "PAUSED", _("paused")
    CHANGING = "CHANGING", _("changing")
    SUCCESS = "SUCCESS", _("success")
    FAILURE = "FAILURE", _("failure")
    REVOKED = "REVOKED", _("revoked")


class RunWhen(models.TextChoices):
    """The outcome of a node's parent after which the node runs."""

    SUCCESS = "success", _("after success")
    FAILURE = "failure", _("after failure")
    ALWAYS = "always", _("always")


class OnFailure(models.TextChoices):
    """The consequence of a failure in a tree, or in a node's subtree, for the rest of it."""

    CONTINUE = "continue", _("the rest continues")
    STOP = "stop", _("the rest is revoked")
    TERMINATE = "terminate", _("the rest is revoked, and what is running is terminated")


#: The values with which a failure revokes nodes.
STOPPING = frozenset({OnFailure.STOP, OnFailure.TERMINATE})


class OnWorkerLost(models.TextChoices):
    """What happens to a node whose worker or pool process was lost while its task function ran."""

    RETRY = "retry", _("it runs again")
    FAIL = "fail", _("it fails")


class OnTimeout(models.TextChoices):
    """The outcome of a wait node whose time has passed before its event came."""

    FAILURE = "failure", _("it fails")
    SUCCESS = "success", _("it succeeds")
    SKIP = "skip", _("it is skipped")


class Hold(models.TextChoices):
    """The reason why a node must not start, other than the state of its parent or its run."""

    NONE = "", _("nothing")
    PAUSED = "paused", _("its subtree is paused")
    REVOKED = "revoked", _("its subtree was revoked")


_N = NodeState
_R = RunState

#: State of a node -> the possible next states.
NODE_TRANSITIONS: dict[NodeState, frozenset[NodeState]] = {
    # STARTED: the process that finished its parent goes on with it, so it needs no message. SUCCESS: it was completed
    # from outside. WAITING: a wait node, which has no task.
    _N.PENDING: frozenset({_N.QUEUED, _N.STARTED, _N.WAITING, _N.SKIPPED, _N.REVOKED, _N.SUCCESS}),
    # PENDING: its message arrived during a pause. FAILURE: its message could not be made, or no worker knows its task.
    # REVOKED: it expired, or was revoked here or through Celery.
    _N.QUEUED: frozenset({_N.STARTED, _N.PENDING, _N.FAILURE, _N.REVOKED, _N.SUCCESS}),
    # QUEUED: the attempt was lost or rejected with requeue=True. SKIPPED: the task raised Ignore. WAITING: the task
    # function has started a sub-run, whose result becomes that of the node.
    _N.STARTED: frozenset({_N.SUCCESS, _N.FAILURE, _N.RETRY, _N.QUEUED, _N.WAITING, _N.REVOKED, _N.SKIPPED}),
    _N.RETRY: frozenset({_N.STARTED, _N.PENDING, _N.FAILURE, _N.REVOKED, _N.SUCCESS}),
    # SUCCESS: its event came, or it was completed. FAILURE, SUCCESS, SKIPPED: its time has passed, as it says. SUCCESS,
    # FAILURE: its sub-run has ended.
    _N.WAITING: frozenset({_N.SUCCESS, _N.FAILURE, _N.SKIPPED, _N.REVOKED, _N.PENDING}),
    # Nodes that are run again return to PENDING.
    _N.SUCCESS: frozenset({_N.PENDING}),
    _N.FAILURE: frozenset({_N.PENDING}),
    _N.REVOKED: frozenset({_N.PENDING}),
    _N.SKIPPED: frozenset({_N.PENDING}),
}

#: state -> the states that a run may move to from there.
RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _R.DRAFT: frozenset({_R.STARTED, _R.CHANGING, _R.FAILURE, _R.REVOKED}),
    _R.STARTED: frozenset({_R.PAUSED, _R.CHANGING, _R.SUCCESS, _R.FAILURE, _R.REVOKED}),
    # SUCCESS: the tasks that were running when it was paused were the last ones.
    _R.PAUSED: frozenset({_R.STARTED, _R.CHANGING, _R.SUCCESS, _R.FAILURE, _R.REVOKED}),
    # SUCCESS: the run had succeeded before the action, and the action was refused.
    _R.CHANGING: frozenset({_R.STARTED, _R.PAUSED, _R.SUCCESS, _R.FAILURE, _R.REVOKED}),
    # A finished run continues if its nodes are run again, or nodes are added.
    _R.SUCCESS: frozenset({_R.STARTED, _R.CHANGING}),
    _R.FAILURE: frozenset({_R.STARTED, _R.CHANGING}),
    _R.REVOKED: frozenset({_R.STARTED, _R.CHANGING}),
}

#: The states in which rows are inserted. A node is inserted as REVOKED if its parent was revoked while its task ran.
INITIAL_STATES: dict[type[NodeState] | type[RunState], frozenset[NodeState] | frozenset[RunState]] = {
    NodeState: frozenset({_N.PENDING, _N.QUEUED, _N.WAITING, _N.REVOKED}),
    RunState: frozenset({_R.DRAFT, _R.STARTED}),
}

#: States in which a node waits for a worker: a message with its current task ID may claim it.
CLAIMABLE = frozenset({_N.QUEUED, _N.RETRY})
#: States in which a node waits for a worker; for its event or its time, if it is a wait node; or for its sub-run.
STANDING_BY = CLAIMABLE | {_N.WAITING}
#: States in which a node has a message on its way or a running task function. A wait node needs no worker, so it never
#: occupies a place under a limit.
ACTIVE = frozenset({_N.QUEUED, _N.STARTED, _N.RETRY})
#: States in which a message, a worker, an event or a time moves a node on.
UNDER_WAY = ACTIVE | {_N.WAITING}
#: States in which the task function of a node does not run, but may run later; and that of a wait node.
NOT_STARTED = STANDING_BY | {_N.PENDING}
#: The states of finished nodes. Celery calls them the ready states.
NODE_FINAL = frozenset({_N.SUCCESS, _N.FAILURE, _N.REVOKED, _N.SKIPPED})
#: The final states of nodes that have failed.
NODE_FAILED = frozenset({_N.FAILURE, _N.REVOKED})
#: The states of runs that have ended.
RUN_FINAL = frozenset({RunState.SUCCESS, RunState.FAILURE, RunState.REVOKED})
#: The states of runs that continue by themselves, or when they are resumed.
RUN_GOING = frozenset({RunState.STARTED, RunState.PAUSED})
#: The states of launched runs that have not ended. A run is CHANGING while an action on many of its nodes is carried
#: out; afterwards it continues or has finished.
RUN_OPEN = RUN_GOING | {RunState.CHANGING}
#: States of a run in which no node starts; a node whose message arrives becomes runnable.
RUN_HELD = frozenset({RunState.PAUSED, RunState.CHANGING})
#: The states of runs that have not ended, including drafts.
RUN_STOPPABLE = RUN_OPEN | {RunState.DRAFT}
