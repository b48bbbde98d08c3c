"""A crash before every step of each operation of the engine; after each crash, a sweep brings the run to its end.

A step is a statement or the sending of a message. Each scenario runs once to find its steps, and then once for each
step with a crash before it, apart from steps before which a crash leaves nothing else behind than before the previous
step: nothing was committed, sent or received in between. All runs are recovered together.
"""

from datetime import timedelta
from unittest import mock

import pytest
from celery import chord
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.control.waits import end_wait
from django_tasktree.dispatch import capacities
from django_tasktree.models import NodeRun, RunEvent, TreeRun
from django_tasktree.recovery import nodes as recovery_of_nodes
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import RUN_FINAL
from django_tasktree.testing import registered
from tests import simulation
from tests.sample.chunk_tasks import double, some_fail
from tests.sample.map_tasks import halve, numbers
from tests.sample.sub_run_tasks import replaced, report, resting, sleeping
from tests.sample.tasks import add, echo, fail, flaky, grow, total

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def world(database, app, settings, monkeypatch):
    """Yield a simulation in which a scenario has the same steps each time, however long they take."""
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 3600}
    monkeypatch.setattr(capacities, "_REMEMBER", 0)
    with simulation.simulated(app, "crash-points") as world, registered(sleeping, report, resting):
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
    """A map of a result, made in two batches, in which as many fail as are tolerated, with a node below the others."""
    tree = TaskTree("mapping")
    source = tree.add_task(numbers, [3])
    halves = source.map(halve, over=source.output, tolerate=1)
    halves.each.add_task(echo, [halves.each.output])
    halves.gather(echo, ["gather"])
    return tree.apply_async(key=key)


def mapping_in_vain(key):
    """A map of a result, one node at a time, in which more fail than are tolerated, so that the others are revoked."""
    tree = TaskTree("mapping in vain")
    source = tree.add_task(numbers, [2])
    halves = source.map(halve, over=[source.output[1], 4], tolerate=0, max_active=1)
    halves.each.add_task(echo, ["below"])
    halves.gather(echo, ["gather"], run_when="failure")
    return tree.apply_async(key=key)


def mapping_with_waits(key):
    """A map in which the last node fails while the others wait, which nobody answers: they are revoked."""
    tree = TaskTree("mapping with waits")
    halves = tree.map(halve, over=[2, 4, 1], tolerate=0, max_active=1)
    halves.each.wait_for("never")
    halves.gather(echo, ["gather"], run_when="failure")
    return tree.apply_async(key=key)


def mapping_that_stops(key):
    """A map in which the last node fails, which stops the tree, in which a node waits."""
    tree = TaskTree("mapping that stops", on_failure="stop")
    tree.map(halve, over=[2, 1], tolerate=0, max_active=1)
    tree.wait_for("never")
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
    """A wait is completed, and the time of the next one passes."""
    tree = TaskTree("completing")
    late = tree.wait_for("ok").wait_for("late", timeout=timedelta(hours=1), allow_failure=True)
    late.add_task(echo, ["after"], run_when="failure")
    result = tree.apply_async(key=key)
    if result["ok"].state == "WAITING":
        result["ok"].complete(1)
    waiting = NodeRun.objects.filter(run_id=result.id, label="late", state="WAITING")
    for node_id, task_id in waiting.values_list("id", "task_id"):
        waiting.update(eta=timezone.now() - timedelta(hours=1))
        end_wait(node_id, task_id)
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
    """A run is paused, resumed and revoked, with a sub-run and the sub-run of that."""
    tree = TaskTree("revoking sub-runs")
    tree.add_run("sleeping", {"levels": 1})
    return tree.apply_async(key=key)


SCENARIOS = [chain, fan_in, failure, stopping, retrying, growing, together, any_of, limited]
MAPS = [mapping, mapping_in_vain, mapping_with_waits, mapping_that_stops]
ACTIONS = [pausing, revoking, skipping, adding, drafting]
WAITS = [answering, calling, completing, napping]
SUB_RUNS = [starting, starting_in_vain, replacing, revoking_sub_runs]
#: Settings that a scenario needs.
SETTINGS = {mapping: {"BATCH_SIZE": 2}}


def run_scenario(world, scenario, key):
    """Do everything that processes do for a run: first the caller, then a worker."""
    result = scenario(key)
    worker = world.start_worker(f"w-{key}")
    world.deliver_all(worker)
    if scenario is revoking_sub_runs:
        act_on_sub_runs(result)


def act_on_sub_runs(result):
    if result.state == "STARTED":
        result.pause()
    if result.state == "PAUSED":
        result.resume()
    if result.state == "STARTED":
        result.revoke()


def recover(world, scenario, keys, messages=()):
    """Recover from crashes: launch again with the same keys, and let another worker sweep; return the handles."""
    for name in list(world.hosts):
        world.kill_worker(name)
    results = [scenario(key) for key in keys]
    worker = world.start_worker("rescuer")
    for message in messages:
        world.deliver(message, worker)
    if scenario is revoking_sub_runs:
        going = [result for result in results if result.state not in RUN_FINAL]
        assert world.recover(lambda: innermost_waits() == len(going))
        for result in going:
            act_on_sub_runs(result)
    assert world.recover(all_have_ended), {
        key: (result.state, simulation.states(result.id)) for key, result in zip(keys, results, strict=True)
    }
    return results


def innermost_waits():
    """Return in how many cases the innermost of three runs sleeps."""
    return NodeRun.objects.filter(run__depth=2, label="nap", state="WAITING").count()


def all_have_ended():
    """Return whether all runs have ended."""
    return not TreeRun.objects.exclude(state__in=RUN_FINAL).exists()


def expected(world, scenario):
    """Run a scenario without crashes; return the steps to crash before, the state of the run and those of its nodes."""
    # Twice, because Django queries the version and features of the database the first time.
    for key in (f"{scenario.__name__}-first", f"{scenario.__name__}-whole"):
        with world.counting():
            run_scenario(world, scenario, key)
    run = TreeRun.objects.get(key=key)
    assert run.state in RUN_FINAL
    return world.points, run.state, simulation.states(run.id)


def crash(world, scenario, key, point):
    """Crash before a step; return the messages that are left."""
    with world.counting(crash_at=point), pytest.raises(simulation.Crash):
        run_scenario(world, scenario, key)
    return world.receive_all()


@pytest.mark.parametrize(
    "scenario", [*SCENARIOS, *MAPS, *ACTIONS, *WAITS, *SUB_RUNS], ids=lambda scenario: scenario.__name__
)
def test_a_crash_before_each_step(world, database, scenario, settings):
    """The messages that are left are lost.

    Whether they are kept concerns the broker and not the database: that is tested with PostgreSQL.
    """
    settings.TASKTREE |= SETTINGS.get(scenario, {})
    points, state, states = expected(world, scenario)
    assert len(points) > 3
    keys, kept = [], []
    for point in points:
        keys.append(f"{scenario.__name__}: a crash before step {point}")
        if crash(world, scenario, keys[-1], point) and database == "postgresql":
            keys.append(f"{keys[-1]}, messages are kept")
            kept += crash(world, scenario, keys[-1], point)
    results = recover(world, scenario, keys, kept)
    found = {key: (result.state, simulation.states(result.id)) for key, result in zip(keys, results, strict=True)}
    assert found == dict.fromkeys(keys, (state, states))


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


def asleep(key):
    """Waits of a run and its sub-run, whose times pass."""
    tree = TaskTree("asleep")
    tree.wait_for("ok", timeout=timedelta(hours=1), on_timeout="skip")
    tree.add_run("resting").add_task(echo, ["after"])
    return tree.apply_async(key=key)


def oversleep(world, scenario, key):
    """Let the times of waits pass, after their worker was lost."""
    result = scenario(key)
    worker = world.start_worker(f"w-{key}")
    world.deliver_all(worker)
    world.kill_worker(worker)
    world.pass_time()
    return result


@pytest.mark.parametrize(
    ("scenario", "break_it"),
    [(fan_in, damage), (limited, damage), (failure, damage), (asleep, oversleep)],
    ids=["fan_in", "limited", "failure", "asleep"],
)
def test_a_crash_before_each_step_of_a_sweep(world, scenario, break_it):
    whole = break_it(world, scenario, f"{scenario.__name__}-repaired")
    with world.counting():
        assert sweep(world.app)
    recover(world, scenario, [])
    state, states = whole.state, simulation.states(whole.id)
    for point in world.points:
        key = f"{scenario.__name__}-sweep-{point}"
        break_it(world, scenario, key)
        with world.counting(crash_at=point):
            try:
                sweep(world.app)
            except simulation.Crash:
                world.receive_all()
        (result,) = recover(world, scenario, [key])
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
    assert [repaired.state for repaired in recover(world, fan_in, ["two"])] == ["SUCCESS"]
    assert max(NodeRun.objects.filter(run_id=result.id).values_list("attempts", flat=True)) == 2
