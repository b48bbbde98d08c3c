"""A crash before every step of each operation of the engine; after each crash, a sweep brings the run to its end.

A step is a statement or the sending of a message. Each scenario runs once to count its steps, and then once for each
step with a crash before it, apart from steps that follow a statement which only reads.
"""

from datetime import timedelta
from unittest import mock

import pytest
from celery import chord
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.dispatch import capacities
from django_tasktree.models import NodeRun, RunEvent, TreeRun
from django_tasktree.recovery import nodes as recovery_of_nodes
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import RUN_FINAL
from django_tasktree.testing import registered
from tests import simulation
from tests.sample.chunk_tasks import double, some_fail
from tests.sample.map_tasks import halve, numbers
from tests.sample.sub_run_tasks import replaced, report, sleeping
from tests.sample.tasks import add, echo, fail, flaky, grow, total

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def world(database, app, settings, monkeypatch):
    """Yield a simulation in which a scenario has the same steps each time, however long they take."""
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    monkeypatch.setattr(capacities, "_REMEMBER", 0)
    with simulation.simulated(app, "crash-points") as world, registered(sleeping, report):
        yield world


def chain(key):
    tree = TaskTree("chain")
    tree.add_task(echo, ["a"]).add_task(echo, ["b"]).add_task(echo, ["c"])
    return tree.apply_async(key=key)


def fan_in(key):
    tree = TaskTree("fan in")
    top = tree.add_task(echo, ["top"])
    for name in ("one", "two"):
        top.add_task(echo, [name])
    top.gather(echo, [top.outputs])
    tree.gather(echo, ["all"])
    return tree.apply_async(key=key)


def failure(key):
    tree = TaskTree("failure")
    bad = tree.add_task(fail, ["bad"])
    bad.add_task(echo, ["handler"], run_when="failure").add_task(echo, ["below the handler"])
    bad.add_task(echo, ["skipped"]).add_task(echo, ["not reached"])
    tree.gather(echo, ["gather"], run_when="failure")
    return tree.apply_async(key=key)


def stopping(key):
    tree = TaskTree("stopping", on_failure="stop")
    tree.add_task(fail, ["bad"]).add_task(echo, ["below"])
    return tree.apply_async(key=key)


def retrying(key):
    tree = TaskTree("retrying")
    tree.add_task(flaky, [2]).add_task(echo, ["after"])
    return tree.apply_async(key=key)


def growing(key):
    tree = TaskTree("growing")
    tree.add_task(grow, [1, 2]).add_task(echo, ["after"])
    return tree.apply_async(key=key)


def together(key):
    """Two chunks of nodes with children, of which some fail: their outcomes are written one by one."""
    tree = TaskTree("together")
    for number in (1, -2, 3):
        tree.add_task(some_fail, [number], allow_failure=True).add_task(double, [number + 10])
    return tree.apply_async(key=key)


def mapping(key):
    """A map of a result, in which as many fail as are tolerated, with a node below each of the others."""
    tree = TaskTree("mapping")
    source = tree.add_task(numbers, [2])
    halves = source.map(halve, over=source.output, tolerate=1)
    halves.each.add_task(echo, [halves.each.output])
    halves.gather(echo, ["gather"])
    return tree.apply_async(key=key)


def mapping_in_vain(key):
    """A map of a result, one node at a time, in which more fail than are tolerated, so that the others are revoked."""
    tree = TaskTree("mapping in vain")
    source = tree.add_task(numbers, [2])
    halves = source.map(halve, over=[source.output[1], 4], tolerate=0, max_active=1)
    halves.gather(echo, ["gather"], run_when="failure")
    return tree.apply_async(key=key)


def any_of(key):
    """A gather node that needs one of two nodes, one that needs both although one fails, and one that waits for all."""
    tree = TaskTree("any of")
    tree.add_task(echo, ["one"])
    tree.add_task(fail, ["two"], allow_failure=True)
    tree.gather(echo, ["one is enough"], when="any")
    tree.gather(echo, ["two can't"], when=2, run_when="failure")
    tree.gather(echo, ["all"])
    return tree.apply_async(key=key)


def limited(key):
    tree = TaskTree("limited", max_active=1)
    for name in ("a", "b"):
        tree.add_task(echo, [name])
    return tree.apply_async(key=key)


def pausing(key):
    result = chain(key)
    if result.state == "STARTED":
        result.pause()
    if result.state == "PAUSED":
        result.resume()
    return result


def revoking(key):
    result = chain(key)
    if result.state == "STARTED":
        result.revoke()
    return result


def skipping(key):
    result = fan_in(key)
    first = result.children[0]
    if first.state in ("QUEUED", "PENDING"):
        first.complete("given")
    return result


def adding(key):
    result = chain(key)
    top = result.children[0]
    if top.state in ("QUEUED", "SUCCESS") and not NodeRun.objects.filter(run_id=result.id, args='["added"]').exists():
        top.add_task(echo, ["added"])
    return result


def drafting(key):
    tree = TaskTree("draft")
    tree.add_task(echo, ["a"]).add_task(echo, ["b"])
    result = tree.apply_async(key=key, eta=timezone.now() + timedelta(hours=1))
    if result.state == "DRAFT":
        result.launch()
    return result


def answering(key):
    """An event comes before its node is reached."""
    tree = TaskTree("answering")
    tree.add_task(echo, ["a"]).wait_for("ok").add_task(echo, ["b"])
    return with_event(tree.apply_async(key=key))


def calling(key):
    """An event comes while its node waits."""
    tree = TaskTree("calling")
    tree.wait_for("ok").add_task(echo, ["b"])
    tree.gather(echo, ["all"])
    return with_event(tree.apply_async(key=key))


def with_event(result):
    if not RunEvent.objects.filter(run_id=result.id).exists():
        result.send_event("ok", 1)
    return result


def completing(key):
    tree = TaskTree("completing")
    tree.wait_for("ok").wait_for("too")
    result = tree.apply_async(key=key)
    for path in ("ok", "ok/too"):
        if result[path].state == "WAITING":
            result[path].complete(1)
    return result


def napping(key):
    tree = TaskTree("napping")
    tree.add_task(echo, ["a"]).sleep(until=timezone.now() - timedelta(hours=1), label="nap").add_task(echo, ["b"])
    return tree.apply_async(key=key)


def starting(key):
    """A node starts a run of a definition, with a gather node, and another node follows."""
    tree = TaskTree("starting", max_active=1)
    node = tree.add_run("report", {"day": 1}, label="report")
    node.add_task(echo, [node.output["total"]], label="after")
    return tree.apply_async(key=key)


def starting_in_vain(key):
    """The run that a node starts fails, and stops the tree, in which another run sleeps."""
    tree = TaskTree("starting in vain", on_failure="stop")
    tree.add_run("sleeping", label="sleeping")
    tree.add_run("report", {"day": 1, "fails": True}, label="report")
    return tree.apply_async(key=key)


def replacing(key):
    """A chord takes the place of a node, and one of its members is replaced, too."""
    tree = TaskTree("replacing")
    canvas = chord([echo.s(1), replaced.s(dict(add.s(1, 2)))], total.s())
    node = tree.add_task(replaced, [dict(canvas)])
    node.add_task(echo, [node.output])
    return tree.apply_async(key=key)


def revoking_sub_runs(key):
    """A run is revoked, with a sub-run and the sub-run of that."""
    tree = TaskTree("revoking sub-runs")
    tree.add_run("sleeping", {"levels": 1})
    return tree.apply_async(key=key)


SCENARIOS = [chain, fan_in, failure, stopping, retrying, growing, together, mapping, mapping_in_vain, any_of, limited]
ACTIONS = [pausing, revoking, skipping, adding, drafting]
WAITS = [answering, calling, completing, napping]
SUB_RUNS = [starting, starting_in_vain, replacing, revoking_sub_runs]


def run_scenario(world, scenario, key):
    """Do everything that processes do for a run: first the caller, then a worker."""
    result = scenario(key)
    worker = world.start_worker(f"w-{key}")
    world.deliver_all(worker)
    if scenario is revoking_sub_runs and result.state == "STARTED":
        result.revoke()


def recover(world, scenario, key):
    """Recover from a crash: launch again with the same key, and let another worker sweep."""
    for name in list(world.hosts):
        world.kill_worker(name)
    result = scenario(key)
    if scenario is revoking_sub_runs and result.state == "STARTED":
        assert world.recover(innermost_waits)
        result.revoke()
    assert world.recover(lambda: all_have_ended(result)), (
        f"{key}: the run is {result.state}, {simulation.states(result.id)}"
    )
    return result


def innermost_waits():
    """Return whether the innermost of three runs sleeps."""
    return NodeRun.objects.filter(run__depth=2, label="nap", state="WAITING").exists()


def all_have_ended(result):
    """Return whether a run and all sub-runs have ended."""
    return result.state in RUN_FINAL and not TreeRun.objects.exclude(state__in=RUN_FINAL).exists()


def expected(world, scenario):
    """Run a scenario without crashes; return the steps to crash before, the state of the run and those of its nodes."""
    # Twice, because Django queries the version and features of the database the first time.
    for key in (f"{scenario.__name__}-first", f"{scenario.__name__}-whole"):
        with world.counting():
            run_scenario(world, scenario, key)
    run = TreeRun.objects.get(key=key)
    assert run.state in RUN_FINAL
    return world.distinct_points(), run.state, simulation.states(run.id)


@pytest.mark.parametrize("loses", [False, True], ids=["messages are kept", "messages are lost"])
@pytest.mark.parametrize("scenario", [*SCENARIOS, *ACTIONS, *WAITS, *SUB_RUNS], ids=lambda scenario: scenario.__name__)
def test_a_crash_before_each_step(world, database, scenario, loses):
    if not loses and database != "postgresql":
        pytest.skip("whether messages are kept concerns the broker and not the database: tested with PostgreSQL")
    points, state, states = expected(world, scenario)
    assert len(points) > 3
    for point in points:
        key = f"{scenario.__name__}-{point}"
        with world.counting(crash_at=point), pytest.raises(simulation.Crash):
            run_scenario(world, scenario, key)
        if loses:
            world.receive_all()
        result = recover(world, scenario, key)
        assert (result.state, simulation.states(result.id)) == (state, states), f"crash before step {point}"


def damage(world, scenario, key):
    """Deliver half of the messages to a worker that dies after its claim, and lose the others."""
    result = scenario(key)
    worker = world.start_worker(f"w-{key}")
    messages = world.receive_all()
    for message in messages[: len(messages) // 2 + 1]:
        with world.counting(crash_at=2), pytest.raises(simulation.Crash):
            world.deliver(message, worker)
    world.receive_all()
    world.kill_worker(worker)
    world.pass_time()
    return result


@pytest.mark.parametrize("scenario", [fan_in, limited, failure], ids=lambda scenario: scenario.__name__)
def test_a_crash_before_each_step_of_a_sweep(world, scenario):
    _, state, states = expected(world, scenario)
    damage(world, scenario, f"{scenario.__name__}-repaired")
    with world.counting():
        assert sweep(world.app)
    for point in world.distinct_points():
        key = f"{scenario.__name__}-sweep-{point}"
        result = damage(world, scenario, key)
        with world.counting(crash_at=point):
            try:
                sweep(world.app)
            except simulation.Crash:
                world.receive_all()
        recover(world, scenario, key)
        assert (result.state, simulation.states(result.id)) == (state, states), f"crash before step {point} of a sweep"


def test_two_concurrent_sweeps_repair_everything_once(world):
    """The second sweep runs after the first has read the rows and before it has repaired any."""
    result = damage(world, fan_in, "two")
    concurrent = []
    original = recovery_of_nodes.requeue_or_fail  # type: ignore[attr-defined]

    def sweep_concurrently(*args):
        with mock.patch.object(recovery_of_nodes, "requeue_or_fail", original):
            concurrent.append(sweep(world.app))
        return original(*args)

    with mock.patch.object(recovery_of_nodes, "requeue_or_fail", sweep_concurrently):
        first = sweep(world.app)
    assert ([first.requeued], [second.requeued for second in concurrent]) == ([0], [1])
    assert len(world.receive_all()) == 1
    assert recover(world, fan_in, "two").state == "SUCCESS"
    assert max(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)) == 2
