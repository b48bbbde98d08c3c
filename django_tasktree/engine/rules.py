"""The rules of the engine: conditions on a node, its ``run`` and its ``parent``.

Each rule is defined once; :mod:`django_tasktree.engine.conditions` derives its forms for Python, Django and SQL.
"""

from collections import defaultdict
from collections.abc import Mapping

from django_tasktree.engine.conditions import NEVER, Condition, Is
from django_tasktree.states import NODE_FAILED, NODE_FINAL, STANDING_BY, Hold, NodeState, RunState, RunWhen

# Which nodes run after their parent

#: The final state of a parent -> the values of ``run_when`` with which a child runs after it.
FOLLOWING: Mapping[NodeState, frozenset[RunWhen]] = {
    NodeState.SUCCESS: frozenset({RunWhen.SUCCESS, RunWhen.ALWAYS}),
    **dict.fromkeys(sorted(NODE_FAILED), frozenset({RunWhen.FAILURE, RunWhen.ALWAYS})),
    NodeState.SKIPPED: frozenset(),
}
#: Whether the parent of a gather node, or one of the nodes for which it waits, has failed in a way that counts -> the
#: values of ``run_when`` with which the gather node runs.
FOLLOWING_ALL = {True: FOLLOWING[NodeState.FAILURE], False: FOLLOWING[NodeState.SUCCESS]}


def _fits() -> Condition:
    states: dict[frozenset[RunWhen], list[NodeState]] = defaultdict(list)
    for state, whens in FOLLOWING.items():
        if whens:
            states[whens].append(state)
    rule: Condition = NEVER
    for whens, after in states.items():
        rule |= Is("parent__state", *after) & Is("run_when", *sorted(whens))
    return rule


#: The node's ``run_when`` fits the outcome of its parent.
FITS = _fits()
#: A root node.
_IS_ROOT = Is("parent_id", None)
_IS_GATHER = Is("is_gather", True)
#: The parent has finished with an outcome of its own. Nothing follows a node that was skipped or revoked by a stop.
_AFTER_OUTCOME = Is("parent__state", *sorted(NODE_FINAL - {NodeState.SKIPPED, NodeState.REVOKED})) | (
    Is("parent__state", NodeState.REVOKED) & Is("parent__hold", *(hold for hold in Hold if hold != Hold.REVOKED))
)
#: The node is a root node, or its parent has finished with an outcome of its own.
REACHED = _IS_ROOT | _AFTER_OUTCOME
#: That outcome lets the node run. For a gather node, the parent's outcome counts together with the outcomes of the
#: nodes under the parent; settle evaluates both.
MAY_RUN = _IS_ROOT | (_AFTER_OUTCOME & (FITS | _IS_GATHER))

# Whether a node may start now

#: The state of the run lets nodes be claimed and runnable nodes be queued.
RUN_LETS_START = Is("run__state", RunState.STARTED)
#: No pause or revocation of a subtree holds the node.
SUBTREE_LETS_START = Is("hold", Hold.NONE)
#: Neither the run nor a hold keeps the node from starting.
IS_FREE = RUN_LETS_START & SUBTREE_LETS_START
#: Release or settle may queue the node directly. Nodes under a limit are queued by ``advance`` only.
MAY_START = IS_FREE & Is("limit_scope_id", None)
#: The node is runnable: its parent lets it run, and it waits for ``advance``.
IS_RUNNABLE = Is("state", NodeState.PENDING) & Is("runnable", True)
#: The node's parent lets it run, and no worker has started it; or it is a wait node that has not ended.
IS_WAITING = Is("state", *sorted(STANDING_BY)) | IS_RUNNABLE
#: The node has a task: it is queued when it may start. A wait node becomes WAITING instead.
IS_TASK = Is("wait", None)

# Whether a failure counts for the nodes above it, for the run, and for a stop

#: The node has failed or was revoked, and its failure counts.
FAILURE_COUNTS = Is("state", *sorted(NODE_FAILED)) & Is("allow_failure", False)

# What is left to do below a node

IS_UNSETTLED = Is("settled", False)
#: The node has left PENDING or is runnable. Below a skipped node, all other nodes are not reached.
_MOVES = Is("state", *(state for state in NodeState if state != NodeState.PENDING)) | Is("runnable", True)
#: The node has to settle before its parent settles and before the gather nodes under the parent start. This excludes
#: gather nodes that wait themselves and, below a skipped node, nodes that are not reached.
IS_LEFT = IS_UNSETTLED & (
    _MOVES
    | (Is("parent__state", *(state for state in NodeState if state != NodeState.SKIPPED)) & Is("is_gather", False))
)
#: A gather node that waits for the nodes under its parent. One that is runnable waits for ``advance`` only.
IS_WAITING_GATHER = _IS_GATHER & Is("state", NodeState.PENDING) & Is("runnable", False)
