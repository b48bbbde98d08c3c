"""A preview says what the action then does, writes nothing, locks nothing, and takes as many queries for any size."""

import random
from contextlib import suppress

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from django_tasktree import NodeResult, TaskTree, TreeResult, bulk
from django_tasktree.engine.reach import MAY_RUN
from django_tasktree.exceptions import TaskTreeError
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.states import CLAIMABLE, NODE_FAILED, NodeState
from tests.integration.engine.trees import ref
from tests.integration.steering.play import end, play
from tests.sample.tasks import echo

pytestmark = pytest.mark.exhaustive

OF_RUNS = ["launch", "pause", "resume", "revoke", "retry"]
OF_NODES = ["pause", "resume", "revoke", "retry", "rerun", "skip"]


def grow(parent, chance, room):
    for _ in range(chance.randint(0, 4)):
        if room[0] <= 0:
            return
        room[0] -= 1
        is_gather = chance.random() < 0.3
        add = parent.gather if is_gather else parent.add_task
        whens = ["success", "always", *([] if isinstance(parent, TaskTree) and not is_gather else ["failure"])]
        node = add(
            echo,
            [room[0]],
            run_when=chance.choice(whens),
            allow_failure=chance.random() < 0.2,
            on_failure="stop" if chance.random() < 0.15 else "continue",
        )
        grow(node, chance, room)


def a_run(chance):
    tree = TaskTree(on_failure="stop" if chance.random() < 0.1 else "continue")
    room = [30]
    while room[0] > 10:
        room[0] -= 1
        grow(tree.add_task(echo, ["root"]), chance, room)
    result = tree.apply_async(draft=chance.random() < 0.05)
    for node in NodeRun.objects.filter(run_id=result.id, parent__isnull=False, is_gather=False):
        if chance.random() < 0.2:
            # As if the task of its parent had added it.
            NodeRun.objects.filter(id=node.id).update(grown=True)
    return result


def step(result, chance):
    """Let something happen: mostly a worker starts or ends a node, sometimes somebody asks for something."""
    from django_tasktree.engine.claim import claim

    rows = list(NodeRun.objects.filter(run_id=result.id))
    started = [row for row in rows if row.state == NodeState.STARTED]
    queued = [row for row in rows if row.state in CLAIMABLE]
    what = chance.random()
    if what < 0.45 and queued:
        claim(ref(chance.choice(queued).id), "w")
    elif what < 0.85 and started:
        end(ref(chance.choice(started).id), chance.choices(["success", "failure", "stop"], [6, 4, 1])[0])
    elif rows:
        handle = chance.choice([result, *(NodeResult(row.id) for row in rows)])
        verb = chance.choice(OF_RUNS if handle is result else OF_NODES)
        with suppress(TaskTreeError):
            getattr(handle, verb)()


def answer(ask):
    try:
        return ask()
    except TaskTreeError as exc:
        return type(exc), str(exc)


def done_and_undone(alias, handle, verb):
    with transaction.atomic(using=alias):
        effect = answer(getattr(handle, verb))
        transaction.set_rollback(True, using=alias)
        return effect


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_the_action(database, seed):
    chance = random.Random(seed)
    compared = 0
    for _ in range(2):
        result = a_run(chance)
        for _ in range(4):
            for _ in range(chance.randint(1, 12)):
                step(result, chance)
            ids = list(NodeRun.objects.filter(run_id=result.id).values_list("id", flat=True))
            for handle in (result, *map(NodeResult, chance.sample(ids, min(5, len(ids))))):
                for verb in OF_RUNS if handle is result else OF_NODES:
                    found = answer(lambda h=handle, v=verb: h.preview(v))
                    assert found == done_and_undone(database, handle, verb), (verb, handle)
                    compared += 1
    assert compared > 150


def a_bushy_run(chance):
    """Many nodes with nothing below them, and gather nodes that wait for them."""
    tree = TaskTree()
    for number in range(3):
        top = tree.add_task(echo, [number])
        for _ in range(4):
            node = top.add_task(echo, run_when="always")
            for _ in range(chance.randint(0, 3)):
                node.add_task(echo, run_when="always", allow_failure=chance.random() < 0.2)
            if chance.random() < 0.5:
                node.gather(echo, run_when=chance.choice(["success", "failure", "always"]))
        top.gather(echo, run_when=chance.choice(["success", "always"]))
    tree.gather(echo)
    return tree.apply_async()


def work(result, chance, attempts):
    """Let nodes start and end, about every second with a failure."""
    from django_tasktree.engine.claim import claim

    for _ in range(attempts):
        queued = list(NodeRun.objects.filter(run_id=result.id, state__in=CLAIMABLE).order_by("id"))
        if not queued:
            return
        node = ref(chance.choice(queued).id)
        if claim(node, "w"):
            end(ref(node.id), chance.choice(["success", "failure"]))


#: Not the revision: how often a node was looked at again may differ.
COLUMNS = ("id", "state", "ready", "hold", "settled", "failed", "attempts", "retries", "result")


def afterwards(alias, result, retry):
    """What a run looks like once something was retried in it, which is undone then."""
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
def test_many_retried_at_once_are_as_if_one_by_one(database, seed):
    chance = random.Random(seed)
    compared = 0
    for number in range(4):
        result = a_run(chance) if number == 0 else a_bushy_run(chance)
        for _ in range(3):
            work(result, chance, chance.randint(5, 25))
            step(result, chance)
            rows = NodeRun.objects.filter(run_id=result.id).order_by("id")
            ids = [key for key in rows.values_list("id", flat=True) if chance.random() < 0.7]
            leaves = set(rows.filter(MAY_RUN, state__in=NODE_FAILED, child_count=0).values_list("id", flat=True))
            if result.state == "DRAFT":
                leaves = set()

            def one_by_one(ids=ids, leaves=leaves):
                for key in sorted(ids, key=lambda key: (key not in leaves, key)):
                    with suppress(TaskTreeError):
                        NodeResult(key).retry()

            def at_once(ids=ids, result=result):
                bulk(NodeRun.objects.filter(id__in=ids).order_by("id")).retry()

            assert afterwards(database, result, at_once) == afterwards(database, result, one_by_one)
            compared += len(leaves & set(ids))
    assert compared > 20


def deep(length, fail_at):
    tree = TaskTree()
    nodes = [tree.push(echo, [number]) for number in range(length)]
    nodes[0].gather(echo, ["gather"])
    result = tree.apply_async()
    NodeRun.objects.filter(run_id=result.id).update(state="SUCCESS", settled=True, attempts=1)
    failed = result[nodes[fail_at]].id
    NodeRun.objects.filter(id=failed).update(state="FAILURE", failed=True)
    NodeRun.objects.filter(run_id=result.id, is_gather=True).update(state="SKIPPED", attempts=0)
    TreeRun.objects.filter(id=result.id).update(state="FAILURE")
    return result, result[nodes[0]], NodeResult(failed)


@pytest.mark.parametrize("fail_at", [3, 550])
def test_a_deep_chain(database, fail_at):
    result, top, failed = deep(600, fail_at)
    for handle in (result, top, failed):
        for verb in OF_RUNS if handle is result else OF_NODES:
            assert answer(lambda h=handle, v=verb: h.preview(v)) == done_and_undone(database, handle, verb), verb
    assert failed.preview("rerun").again == 600 - fail_at + 1


def wide(children):
    """A node with children, each with a child of its own; one of a hundred has failed."""
    tree = TaskTree()
    top = tree.add_task(echo, ["top"])
    for number in range(children):
        top.add_task(echo, [number]).add_task(echo, ["below"])
    top.gather(echo, ["gather"])
    result = tree.apply_async()
    rows = NodeRun.objects.filter(run_id=result.id)
    rows.update(state="SUCCESS", settled=True, attempts=1)
    for number in range(0, children, 100):
        rows.filter(args=f"[{number}]").update(state="FAILURE", failed=True)
        rows.filter(parent__args=f"[{number}]").update(state="SKIPPED", attempts=0)
    rows.filter(is_gather=True).update(state="SKIPPED", attempts=0)
    TreeRun.objects.filter(id=result.id).update(state="FAILURE")
    return result, result[top]


def statements(alias, handle, verb):
    with CaptureQueriesContext(connections[alias]) as queries:
        answer(lambda: handle.preview(verb))
    return [query["sql"] for query in queries]


def test_it_takes_as_many_queries_for_any_size_and_only_reads(database):
    small, large = wide(3), wide(700)
    for kind in (0, 1):
        for verb in OF_RUNS if kind == 0 else OF_NODES:
            few, many = (statements(database, handles[kind], verb) for handles in (small, large))
            assert len(many) == len(few) < 15, (verb, many)
            for sql in many:
                assert sql.lstrip().startswith(("SELECT", "WITH")), sql
                assert "FOR UPDATE" not in sql
    assert large[0].preview("retry") == done_and_undone(database, large[0], "retry")
    assert not NodeAttempt.objects.exists()


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_it_waits_for_no_lock(app):
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
                for verb in OF_RUNS if handle is result else OF_NODES:
                    answer(lambda h=handle, v=verb: h.preview(v))
        finally:
            alias.close()
            connections["postgresql"].close()


@pytest.mark.parametrize(("verb", "of_node"), [("rerun", False), ("skip", False), ("launch", True), ("copy", False)])
def test_what_can_not_be_asked_has_no_preview(database, verb, of_node):
    tree = TaskTree()
    node = tree.add_task(echo)
    result = tree.apply_async()
    with pytest.raises(ValueError, match="there is no preview of"):
        (result[node] if of_node else result).preview(verb)


def test_from_a_node(database, eager):
    tree = TaskTree()
    node = tree.add_task(echo)
    result = tree.apply_async()
    assert result.preview("retry", from_node=node) == result[node].preview("rerun")
    assert isinstance(result, TreeResult)
    assert play(result.id) == []
