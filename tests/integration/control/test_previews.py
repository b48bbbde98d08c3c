"""A preview returns the effect of the action, writes nothing, locks nothing, and takes a constant number of queries."""

import random
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from django_tasktree import NodeResult, TaskTree, TreeResult, bulk
from django_tasktree.control.waits import end_wait
from django_tasktree.encoding import times
from django_tasktree.engine.control.reachability import MAY_RUN
from django_tasktree.exceptions import TaskTreeError
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.states import CLAIMABLE, NODE_FAILED, NodeState
from tests.integration.control.play import end, play
from tests.integration.engine.trees import ref
from tests.sample.tasks import echo

pytestmark = pytest.mark.exhaustive

DAY = timedelta(days=1)
RUN_ACTIONS = ["launch", "pause", "resume", "revoke", "retry"]
NODE_ACTIONS = ["pause", "resume", "revoke", "retry", "rerun", "complete"]


def grow(parent, rng, room):
    """Add random nodes below a parent while there is room."""
    for _ in range(rng.randint(0, 4)):
        if room[0] <= 0:
            return
        room[0] -= 1
        is_gather = rng.random() < 0.3
        whens = ["success", "always", *([] if isinstance(parent, TaskTree) and not is_gather else ["failure"])]
        rules = {
            "run_when": rng.choice(whens),
            "allow_failure": rng.random() < 0.2,
            "on_failure": "stop" if rng.random() < 0.15 else "continue",
        }
        if not is_gather and rng.random() < 0.2:
            outcome = rng.choice(["failure", "success", "skip"])
            node = parent.wait_for("event", label=str(room[0]), timeout=DAY, on_timeout=outcome, **rules)
        else:
            node = (parent.gather if is_gather else parent.add_task)(echo, [room[0]], **rules)
        grow(node, rng, room)


def random_run(rng):
    """Return a run of random nodes with random rules."""
    tree = TaskTree(on_failure="stop" if rng.random() < 0.1 else "continue")
    room = [30]
    while room[0] > 10:
        room[0] -= 1
        grow(tree.add_task(echo, ["root"]), rng, room)
    result = tree.apply_async(draft=rng.random() < 0.05)
    for node in NodeRun.objects.filter(run_id=result.id, parent__isnull=False, is_gather=False).order_by("id"):
        if rng.random() < 0.2:
            # As if the task of its parent had added it.
            NodeRun.objects.filter(id=node.id).update(added_at_runtime=True)
    return result


def random_step(result, rng):
    """Make one random step: a worker starts or finishes a node, or less often an action is carried out."""
    from django_tasktree.engine.lifecycle.claim import claim

    rows = list(NodeRun.objects.filter(run_id=result.id).order_by("id"))
    started = [row for row in rows if row.state == NodeState.STARTED]
    queued = [row for row in rows if row.state in CLAIMABLE]
    waits = [row for row in rows if row.state == NodeState.WAITING]
    if waits and rng.random() < 0.3:
        let_time_pass(rng.choice(waits))
        return
    event = rng.random()
    if event < 0.45 and queued:
        claim(ref(rng.choice(queued).id), "w")
    elif event < 0.85 and started:
        end(ref(rng.choice(started).id), rng.choices(["success", "failure", "stop"], [6, 4, 1])[0])
    elif rows:
        handle = rng.choice([result, *(NodeResult(row.id) for row in rows)])
        action = rng.choice(RUN_ACTIONS if handle is result else NODE_ACTIONS)
        with suppress(TaskTreeError):
            getattr(handle, action)()


def let_time_pass(row):
    """End a wait node by its timeout."""
    NodeRun.objects.filter(id=row.id).update(eta=times.after(times.now(), -1))
    end_wait(row.id, row.task_id)


def outcome_of(ask):
    """Return the result of a call, or the type and the text of its error."""
    try:
        return ask()
    except TaskTreeError as exc:
        return type(exc), str(exc)


def effect_of(alias, handle, action):
    """Return the outcome of an action, and roll the action back."""
    with transaction.atomic(using=alias):
        effect = outcome_of(getattr(handle, action))
        transaction.set_rollback(True, using=alias)
        return effect


@pytest.mark.parametrize("seed", range(6))
def test_a_preview_equals_the_action(database, seed):
    rng = random.Random(seed)
    compared = 0
    for _ in range(2):
        result = random_run(rng)
        for _ in range(4):
            for _ in range(rng.randint(1, 12)):
                random_step(result, rng)
            ids = list(NodeRun.objects.filter(run_id=result.id).order_by("id").values_list("id", flat=True))
            for handle in (result, *map(NodeResult, rng.sample(ids, min(5, len(ids))))):
                for action in RUN_ACTIONS if handle is result else NODE_ACTIONS:
                    found = outcome_of(lambda h=handle, v=action: h.preview(v))
                    assert found == effect_of(database, handle, action), (action, handle)
                    compared += 1
    assert compared > 150


def random_bushy_run(rng):
    """Return a run with many leaves, and gather nodes that wait for them."""
    tree = TaskTree()
    for number in range(3):
        top = tree.add_task(echo, [number])
        for _ in range(4):
            node = top.add_task(echo, run_when="always")
            for _ in range(rng.randint(0, 3)):
                node.add_task(echo, run_when="always", allow_failure=rng.random() < 0.2)
            if rng.random() < 0.5:
                node.gather(echo, run_when=rng.choice(["success", "failure", "always"]))
        top.gather(echo, run_when=rng.choice(["success", "always"]))
    tree.gather(echo)
    return tree.apply_async()


def work(result, rng, attempts):
    """Start and finish random nodes; about half of them fail."""
    from django_tasktree.engine.lifecycle.claim import claim

    for _ in range(attempts):
        queued = list(NodeRun.objects.filter(run_id=result.id, state__in=CLAIMABLE).order_by("id"))
        if not queued:
            return
        node = ref(rng.choice(queued).id)
        if claim(node, "w"):
            end(ref(node.id), rng.choice(["success", "failure"]))


#: Without the revision: how often a node was locked may differ.
COLUMNS = ("id", "state", "runnable", "hold", "settled", "subtree_failed", "attempts", "retries", "result")


def state_after(alias, result, retry):
    """Return the rows of a run after a retry, and roll the retry back."""
    with transaction.atomic(using=alias):
        retry()
        run = TreeRun.objects.filter(id=result.id).values_list("state", "error_message").get()
        rows = NodeRun.objects.filter(run_id=result.id).order_by("id")
        nodes = list(rows.values_list(*COLUMNS))
        attempts = list(NodeAttempt.objects.filter(node__run=result.id).order_by("node", "number").values_list("node"))
        history = sorted(str(key) for key in HistoryEntry.objects.filter(run=result.id).values_list("node", flat=True))
        transaction.set_rollback(True, using=alias)
    return run, nodes, attempts, history


@pytest.mark.parametrize("seed", range(6))
def test_a_bulk_retry_equals_single_retries(database, seed):
    rng = random.Random(seed)
    compared = 0
    for number in range(4):
        result = random_run(rng) if number == 0 else random_bushy_run(rng)
        for _ in range(3):
            work(result, rng, rng.randint(5, 25))
            random_step(result, rng)
            rows = NodeRun.objects.filter(run_id=result.id).order_by("id")
            ids = [key for key in rows.values_list("id", flat=True) if rng.random() < 0.7]
            leaves = set(rows.filter(MAY_RUN, state__in=NODE_FAILED, child_count=0).values_list("id", flat=True))
            if result.state == "DRAFT":
                leaves = set()

            def one_by_one(ids=ids, leaves=leaves):
                for key in sorted(ids, key=lambda key: (key not in leaves, key)):
                    with suppress(TaskTreeError):
                        NodeResult(key).retry()

            def in_bulk(ids=ids, result=result):
                bulk(NodeRun.objects.filter(id__in=ids).order_by("id")).retry()

            assert state_after(database, result, in_bulk) == state_after(database, result, one_by_one)
            compared += len(leaves & set(ids))
    assert compared > 20


def deep(length, fail_at):
    """Return a finished chain in which one node has failed: the run, its first node and the failed one."""
    tree = TaskTree()
    nodes = [tree.push(echo, [number]) for number in range(length)]
    nodes[0].gather(echo, ["gather"])
    result = tree.apply_async()
    NodeRun.objects.filter(run_id=result.id).update(state="SUCCESS", settled=True, attempts=1)
    failed = result[nodes[fail_at]].id
    NodeRun.objects.filter(id=failed).update(state="FAILURE", subtree_failed=True)
    NodeRun.objects.filter(run_id=result.id, is_gather=True).update(state="SKIPPED", attempts=0)
    TreeRun.objects.filter(id=result.id).update(state="FAILURE")
    return result, result[nodes[0]], NodeResult(failed)


@pytest.mark.parametrize("fail_at", [3, 550])
def test_a_deep_chain(database, fail_at):
    result, top, failed = deep(600, fail_at)
    for handle in (result, top, failed):
        for action in RUN_ACTIONS if handle is result else NODE_ACTIONS:
            assert outcome_of(lambda h=handle, v=action: h.preview(v)) == effect_of(database, handle, action), action
    assert failed.preview("rerun").again == 600 - fail_at + 1


def wide(children):
    """Return a finished run of a node whose children have a child each; one in a hundred has failed."""
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    for number in range(children):
        top.add_task(echo, [number]).add_task(echo, ["below"])
    top.gather(echo, ["gather"])
    result = tree.apply_async()
    rows = NodeRun.objects.filter(run_id=result.id)
    rows.update(state="SUCCESS", settled=True, attempts=1)
    for number in range(0, children, 100):
        rows.filter(args=f"[{number}]").update(state="FAILURE", subtree_failed=True)
        rows.filter(parent__args=f"[{number}]").update(state="SKIPPED", attempts=0)
    rows.filter(is_gather=True).update(state="SKIPPED", attempts=0)
    TreeRun.objects.filter(id=result.id).update(state="FAILURE")
    return result, result[top]


def statements(alias, handle, action):
    """Return the SQL of a preview."""
    with CaptureQueriesContext(connections[alias]) as queries:
        outcome_of(lambda: handle.preview(action))
    return [query["sql"] for query in queries]


def test_a_preview_only_reads_in_a_constant_number_of_queries(database):
    small, large = wide(3), wide(700)
    for kind in (0, 1):
        for action in RUN_ACTIONS if kind == 0 else NODE_ACTIONS:
            few, many = (statements(database, handles[kind], action) for handles in (small, large))
            assert len(many) == len(few) < 15, (action, many)
            for sql in many:
                assert sql.lstrip().startswith(("SELECT", "WITH")), sql
                assert "FOR UPDATE" not in sql
    assert large[0].preview("retry") == effect_of(database, large[0], "retry")
    assert not NodeAttempt.objects.exists()


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_preview_waits_for_no_lock(app):
    """Another transaction has locked the run and all of its nodes."""
    from tests.databases import active
    from tests.services import POSTGRESQL, need

    need(POSTGRESQL)
    with active("postgresql"):
        result, top = wide(3)
        alias = connections["postgresql"].copy("other")
        try:
            with alias.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT 1 FROM django_tasktree_treerun FOR UPDATE")
                cursor.execute("SELECT 1 FROM django_tasktree_noderun FOR UPDATE")
            with connections["postgresql"].cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            for handle in (result, top):
                for action in RUN_ACTIONS if handle is result else NODE_ACTIONS:
                    outcome_of(lambda h=handle, v=action: h.preview(v))
        finally:
            alias.close()
            connections["postgresql"].close()


@pytest.mark.parametrize(
    ("action", "of_node"),
    [("rerun", False), ("complete", False), ("launch", True), ("copy", True), ("delete", True), ("add_task", False)],
)
def test_an_unknown_action_has_no_preview(database, action, of_node):
    tree = TaskTree()
    node = tree.add_task(echo)
    result = tree.apply_async()
    with pytest.raises(
        ValueError, match=f"there is no action {action!r} on {'nodes' if of_node else 'runs'}: choose one of "
    ):
        (result[node] if of_node else result).preview(action)


def test_a_preview_of_a_retry_from_a_node(database, eager):
    tree = TaskTree()
    node = tree.add_task(echo)
    result = tree.apply_async()
    assert result.preview("retry", from_node=node) == result[node].preview("rerun")
    assert isinstance(result, TreeResult)
    assert play(result.id) == []
