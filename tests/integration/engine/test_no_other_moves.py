"""Every operation obeys the transition tables: if its transition is removed, it fails and changes nothing."""

from contextlib import ExitStack
from unittest import mock

import pytest
from django.db import transaction

from django_tasktree import TaskTree, states
from django_tasktree.control import operations
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.engine.control.change import begin
from django_tasktree.engine.control.pause import pause_run, resume_run
from django_tasktree.engine.control.reset import lock_run, reopen, reset
from django_tasktree.engine.lifecycle.advance import advance
from django_tasktree.engine.lifecycle.attempts import LOST, requeue, retry
from django_tasktree.engine.lifecycle.claim import claim, defer_claim
from django_tasktree.engine.lifecycle.finish import finish
from django_tasktree.engine.lifecycle.launch import launch, start
from django_tasktree.engine.lifecycle.release import skip
from django_tasktree.engine.lifecycle.settle import settle
from django_tasktree.engine.lifecycle.stop import revoke, stop_run, stop_subtree
from django_tasktree.engine.steps import AT_ONCE
from django_tasktree.engine.transitions import nodes, runs
from django_tasktree.engine.types import RunSpec, Taker
from django_tasktree.exceptions import InvalidTransition
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import NodeState, RunState
from tests.integration.engine.trees import FAILURE, SUCCESS, insert_run, ref
from tests.sample.tasks import echo

TABLES = (states.NODE_TRANSITIONS, states.RUN_TRANSITIONS, states.INITIAL_STATES)


class Scene:
    """A run with a root node, two children of it, and a gather node below it and below the run."""

    def __init__(self, max_active=None, **run):
        tree = TaskTree(max_active=max_active)
        root = tree.add_task(echo)
        child, handler = root.add_task(echo), root.add_task(echo, run_when="failure")
        gather = root.gather(echo)
        launched, keys = insert_run(tree, **run)
        self.run_id = launched.run_id
        self.root, self.child, self.handler, self.gather = (keys[node] for node in (root, child, handler, gather))

    def with_wait(self):
        """Replace the child by a wait node."""
        nodes().filter(id=self.child).update(task="tasktree.wait", wait='{"event": "go"}', lane="|go")
        self.wait = self.child
        return self.claim_root()

    def node(self, key):
        """Return a queryset of one node."""
        return nodes().filter(id=key)

    def run(self):
        """Return a queryset of the run."""
        return runs().filter(id=self.run_id)

    def claim_root(self):
        """Claim the root node."""
        claim(ref(self.root), "w")
        return self

    def taker(self):
        """Return a process that goes on with the child of the root node."""
        return Taker(self.run_id, ref(self.child).lane, new_id(), "w", new_id())

    def finish_root(self, outcome=SUCCESS):
        """Finish the root node."""
        self.claim_root()
        finish(ref(self.root), outcome)
        return self

    def finish_child(self, outcome=SUCCESS):
        """Finish the root node and its child."""
        self.finish_root()
        claim(ref(self.child), "w")
        finish(ref(self.child), outcome)
        return self

    def end_run(self, outcome=SUCCESS):
        """End the run."""
        self.finish_child(outcome)
        self.settle()
        if self.node(self.gather).get().state == NodeState.QUEUED:
            claim(ref(self.gather), "w")
            finish(ref(self.gather), SUCCESS)
            self.settle()
        assert self.run().get().is_over
        return self

    def settle_all(self):
        """Mark all nodes as settled."""
        nodes().filter(run_id=self.run_id).update(settled=True)
        return self

    def settle(self):
        return settle(self.run_id, self.root)

    def refuse_claim(self, run_state, **hold):
        """Change the run and the root node, so that the claim of the root node is refused."""
        self.run().update(state=run_state)
        self.node(self.root).update(**hold)
        return self


def tree_with_wait():
    """Build a tree of one wait node."""
    tree = TaskTree()
    tree.wait_for("go")
    return tree


def begin_change(scene, action):
    """Begin a change and return it."""
    with transaction.atomic(using=nodes().db):
        return begin(lock_run(scene.run_id, drafts=True), action, None)


def lock(scene):
    return lock_run(scene.run_id)


def in_transaction(act):
    """Call a function in a transaction."""
    with transaction.atomic(using=nodes().db):
        return act()


#: How to prepare a scene, the operation, and the source states whose transitions are removed from the tables: those of
#: all states if there are none.
OPERATIONS = {
    "launch": (Scene, lambda scene: launch(RunSpec(), ()), ()),
    "launch a draft": (Scene, lambda scene: launch(RunSpec(draft=True), ()), ()),
    "insert nodes": (Scene, lambda scene: Scene(), (NodeState,)),
    "start": (lambda: Scene(draft=True), lambda scene: start(scene.run_id), ()),
    "claim": (Scene, lambda scene: claim(ref(scene.root), "w"), ()),
    "defer, held": (
        lambda: Scene().refuse_claim(RunState.PAUSED),
        lambda scene: defer_claim(ref(scene.root)),
        (),
    ),
    "defer, ended": (
        lambda: Scene().refuse_claim(RunState.REVOKED),
        lambda scene: defer_claim(ref(scene.root)),
        (),
    ),
    "finish a leaf": (
        lambda: Scene().finish_root(),
        lambda scene: finish(ref(scene.child), SUCCESS, [NodeState.QUEUED]),
        (),
    ),
    "finish a parent": (lambda: Scene().claim_root(), lambda scene: finish(ref(scene.root), SUCCESS), ()),
    "release children": (
        lambda: Scene().claim_root(),
        lambda scene: finish(ref(scene.root), SUCCESS),
        (NodeState.PENDING,),
    ),
    "release children after a failure": (
        lambda: Scene().claim_root(),
        lambda scene: finish(ref(scene.root), FAILURE),
        (NodeState.PENDING,),
    ),
    "start the only child": (
        lambda: Scene().claim_root(),
        lambda scene: finish(ref(scene.root), SUCCESS, taker=scene.taker()),
        (NodeState.PENDING,),
    ),
    "retry later": (lambda: Scene().claim_root(), lambda scene: retry(ref(scene.root), NodeError("", ""), None), ()),
    "requeue": (lambda: Scene().claim_root(), lambda scene: requeue(ref(scene.root), LOST, NodeError("", "")), ()),
    "start gather nodes": (lambda: Scene().finish_child(), Scene.settle, ()),
    "skip gather nodes": (
        lambda: Scene().finish_child(FAILURE),
        Scene.settle,
        (),
    ),
    "end a run": (
        lambda: Scene().settle_all(),
        lambda scene: settle(scene.run_id, None),
        (),
    ),
    "advance": (lambda: Scene(max_active=1), lambda scene: list(advance(scene.run_id)), ()),
    "skip": (Scene, lambda scene: skip(scene.node(scene.child)), ()),
    "revoke nodes": (Scene, lambda scene: revoke(nodes().filter(run_id=scene.run_id)), ()),
    "stop a run": (Scene, lambda scene: stop_run(scene.run_id, RunState.FAILURE), ()),
    "stop the nodes of a run": (Scene, lambda scene: operations.revoke(scene.run_id), (NodeState.PENDING,)),
    "stop a subtree": (
        Scene,
        lambda scene: in_transaction(lambda: stop_subtree(AT_ONCE, scene.run_id, scene.root)),
        (),
    ),
    "pause": (Scene, lambda scene: pause_run(scene.run_id), ()),
    "resume": (lambda: Scene().refuse_claim(RunState.PAUSED), lambda scene: resume_run(scene.run_id), ()),
    "reset": (lambda: Scene().end_run(FAILURE), lambda scene: in_transaction(lambda: reset([scene.child])), ()),
    "reopen": (lambda: Scene().end_run(), lambda scene: in_transaction(lambda: reopen(lock(scene))), ()),
    "retry": (lambda: Scene().end_run(FAILURE), lambda scene: operations.retry(scene.run_id), ()),
    "retry leaves": (
        lambda: Scene().end_run(FAILURE),
        lambda scene: operations.retry_leaves(scene.run_id, [scene.child]),
        (),
    ),
    "rerun": (lambda: Scene().end_run(), lambda scene: operations.rerun(scene.run_id, scene.child), ()),
    "complete": (
        lambda: Scene().end_run(FAILURE),
        lambda scene: operations.complete(scene.run_id, scene.child, 1),
        (),
    ),
    "begin to wait": (
        lambda: Scene().with_wait(),
        lambda scene: finish(ref(scene.root), SUCCESS),
        (NodeState.PENDING,),
    ),
    "begin to wait at the launch": (Scene, lambda scene: insert_run(tree_with_wait()), (NodeState,)),
    "end a wait": (
        lambda: Scene().with_wait().finish_root(),
        lambda scene: finish(ref(scene.wait), SUCCESS, [NodeState.WAITING]),
        (),
    ),
    "complete a wait": (
        lambda: Scene().with_wait().finish_root(),
        lambda scene: operations.complete(scene.run_id, scene.wait, 1),
        (),
    ),
    "begin a change": (Scene, lambda scene: begin_change(scene, Action.REVOKE), ()),
    "end a change": (
        lambda: with_change(Scene(), Action.PAUSE),
        lambda scene: in_transaction(scene.change.end),
        (),
    ),
    "end a run by a change": (
        lambda: with_change(Scene(), Action.REVOKE),
        lambda scene: in_transaction(scene.change.end),
        (),
    ),
    "cancel a change": (
        lambda: with_change(Scene().end_run(), Action.RETRY),
        lambda scene: in_transaction(scene.change.cancel),
        (),
    ),
}


def with_change(scene, action):
    """Begin a change in a scene and return the scene."""
    scene.change = begin_change(scene, action)
    return scene


def rows():
    """Return all rows."""
    return [list(model.objects.order_by("pk").values()) for model in (TreeRun, NodeRun, NodeAttempt, HistoryEntry)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_fails_without_its_transition(database, name):
    make, act, sources = OPERATIONS[name]
    scene = make()
    before = rows()
    with ExitStack() as stack:
        for table in TABLES:
            empty = {source: frozenset() for source in (sources or table) if source in table}
            stack.enter_context(mock.patch.dict(table, empty))
        with pytest.raises(InvalidTransition):
            act(scene)
    assert rows() == before
    act(scene)
    assert rows() != before
