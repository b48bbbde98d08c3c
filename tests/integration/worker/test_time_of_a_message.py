"""The end of the time of a message, and what is then left for other processes."""

import threading
from collections import deque

import pytest
from celery import signals
from django.db import OperationalError

from django_tasktree import TaskTree
from django_tasktree.dispatch.capacities import forget_workers
from django_tasktree.engine.heartbeats import workers
from django_tasktree.engine.lifecycle.take import give_back, take
from django_tasktree.engine.types import CompanionRow
from django_tasktree.models import NodeRun
from django_tasktree.worker import batch, execution, taking
from tests.sample.tasks import echo

QUEUE = "test_time_of_a_message"


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Timer:
    """A timer that expires when the test says so."""

    expire = None

    def __init__(self, _seconds, function):
        Timer.expire = function

    def start(self):
        pass

    def cancel(self):
        pass


@pytest.fixture(autouse=True)
def clock(monkeypatch, settings):
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 60}
    clock = Clock()
    monkeypatch.setattr(taking, "time", clock)
    monkeypatch.setattr(threading, "Timer", Timer)
    return clock


@pytest.fixture(params=[1, 32])
def together(request, monkeypatch):
    """Let the process take nodes one by one, or many together."""
    monkeypatch.setattr(taking, "_MOST", request.param)
    monkeypatch.setattr(taking, "_durations", {echo.name: 0.0})
    return request.param


@pytest.fixture
def world(database, world):
    workers().filter(hostname="w").update(queues=[QUEUE], concurrency=1)
    forget_workers()
    yield world
    forget_workers()


@pytest.fixture
def during():
    """Return a function that lets something happen while the node with a number runs."""
    found = []

    def connect(number, act):
        def receive(args, **_):
            if args == [number]:
                act()

        found.append(receive)
        signals.task_prerun.connect(receive)

    yield connect
    for receive in found:
        signals.task_prerun.disconnect(receive)


def in_another_thread(act):
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def launch(numbers):
    tree = TaskTree()
    for number in numbers:
        tree.add_task(echo, [number])
    return tree.apply_async()


def deliver_first(world, size=8):
    result = launch(range(size))
    first, *_ = world.receive_all()
    world.deliver(first, "w")
    return result


def rows(result, column):
    return list(NodeRun.objects.filter(run_id=result.id).order_by("position").values_list(column, flat=True))


def test_one_message_follows_another(world, together, during, clock):
    """The nodes that were taken and have not run need no message of their own."""

    def end():
        clock.now += 61

    during(3, end)
    result = deliver_first(world)
    assert rows(result, "state") == ["SUCCESS"] * 4 + ["QUEUED"] * 4
    assert len(world.receive_all()) == 1


def test_the_next_message_is_sent_while_a_long_task_function_runs(world, together, during, clock):
    found = []

    def expire():
        clock.now += 61
        in_another_thread(Timer.expire)
        found.append(len(world.receive_all()))

    during(3, expire)
    result = deliver_first(world)
    assert found == [1]
    assert rows(result, "state") == ["SUCCESS"] * 4 + ["QUEUED"] * 4
    assert world.receive_all() == [], "it was sent already"


def test_of_nodes_that_are_taken_at_the_end_of_the_time_the_first_one_runs(world, together, monkeypatch):
    def take_slowly(*args):
        found = take(*args)
        if Timer.expire is not None:
            in_another_thread(Timer.expire)
        return found

    monkeypatch.setattr(Timer, "expire", None)
    monkeypatch.setattr(taking, "take", take_slowly)
    monkeypatch.setattr(taking, "_MOST", 3)
    result = deliver_first(world)
    assert rows(result, "state") == ["SUCCESS"] * 5 + ["QUEUED"] * 3
    assert rows(result, "attempts") == [1] * 5 + [0] * 3


def test_the_next_message_is_sent_if_the_time_ends_while_nodes_are_taken(world, during, clock, monkeypatch):
    """The first of them runs, and may take long."""
    found = []
    monkeypatch.setattr(taking, "_durations", {echo.name: 0.0})
    monkeypatch.setattr(taking, "_MOST", 3)

    def take_slowly(*args):
        taken = take(*args)
        if Timer.expire is not None:
            clock.now += 61
            in_another_thread(Timer.expire)
        return taken

    monkeypatch.setattr(Timer, "expire", None)
    monkeypatch.setattr(taking, "take", take_slowly)
    during(4, lambda: found.append(len(world.receive_all())))
    result = deliver_first(world)
    assert found == [1]
    assert rows(result, "state") == ["SUCCESS"] * 5 + ["QUEUED"] * 3
    assert world.receive_all() == [], "it was sent already"


def test_a_child_of_a_long_node_has_a_message(world, during, clock):
    """The message that was sent while the node ran, if there was one, may have been handled already."""

    def expire():
        clock.now += 61
        in_another_thread(Timer.expire)

    during(1, expire)
    tree = TaskTree()
    for number in range(3):
        tree.push(echo, [number])
    result = tree.apply_async()
    first, *_ = world.receive_all()
    world.deliver(first, "w")
    assert [node.state for node in NodeRun.objects.filter(run_id=result.id).order_by("id")][:2] == ["SUCCESS"] * 2
    assert len(world.receive_all()) == 1


def test_outcomes_that_the_other_thread_could_not_write_are_written_later(world, during, clock, monkeypatch):
    """The task function may have locked the database, or there was an outage that has ended."""
    monkeypatch.setattr(taking, "_durations", {echo.name: 0.0})

    def refuse(_):
        raise OperationalError("the database is locked")

    def expire():
        clock.now += 61
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(batch, "finish_together_and_propagate", refuse)
            in_another_thread(Timer.expire)

    during(3, expire)
    result = deliver_first(world)
    assert rows(result, "state") == ["SUCCESS"] * 4 + ["QUEUED"] * 4
    assert rows(result, "attempts") == [1] * 4 + [0] * 4
    assert len(world.receive_all()) == 1


def test_a_task_result_that_does_not_fit_is_left_out(world, monkeypatch, caplog):
    monkeypatch.setattr(taking, "_durations", {echo.name: 0.0})
    row = CompanionRow("INSERT INTO no_such_table (a)", (1,), "", ("%s",))
    monkeypatch.setattr(execution, "success_row", lambda *_: row)
    result = deliver_first(world, 4)
    assert rows(result, "state") == ["SUCCESS"] * 4
    assert "left out" in caplog.text


def test_a_node_without_a_request_may_be_taken_by_another_process(world, monkeypatch):
    """Then that process fails it, and this one goes on."""

    create = taking._request_of

    def refuse(*_):
        raise ValueError("no request")

    def give_back_and_lose(taken):
        found = give_back(taken)
        NodeRun.objects.filter(id__in=[node.id for node in taken]).update(state="STARTED")
        monkeypatch.setattr(taking, "_request_of", create)
        return found

    monkeypatch.setattr(taking, "_request_of", refuse)
    monkeypatch.setattr(taking, "give_back", give_back_and_lose)
    result = deliver_first(world, 5)
    assert rows(result, "state") == ["SUCCESS", "STARTED", *["SUCCESS"] * 3]


def test_messages_go_on_when_nodes_no_longer_share_them(world, settings):
    result = launch(range(20))
    settings.TASKTREE = {"SHARE_MESSAGE_FOR": 0}
    world.deliver_all("w")
    assert result.state == "SUCCESS"
    assert set(rows(result, "carried_by")) == {None}


def test_nodes_that_a_task_function_queues_have_messages(world, monkeypatch):
    """The task function may wait for them."""
    found = []
    result = launch([0, 1])
    NodeRun.objects.filter(id=result.children[1].id).update(state="FAILURE", settled=True, subtree_failed=True)

    def retry_the_other(number):
        if number == 0:
            result.children[1].retry()
            found.append(len(world.receive_all()))
        return number

    first, _ = world.receive_all()
    own_class = type(echo._get_current_object())  # type: ignore[attr-defined]
    monkeypatch.setattr(own_class, "run", staticmethod(retry_the_other))
    world.deliver(first, "w")
    assert found == [1]


def test_another_run_waits_for_one_node_of_each_message_before_its_own(world, together, clock, monkeypatch):
    """When the time of a message is over, the next one is put at the end of the queue."""
    order = []

    def overrun(number):
        order.append(number)
        clock.now += 61

    own_class = type(echo._get_current_object())  # type: ignore[attr-defined]
    monkeypatch.setattr(own_class, "run", staticmethod(overrun))
    results = [launch(range(8)), launch([100])]
    messages = deque(world.receive_all())
    before = len(messages) - 1
    while messages:
        world.deliver(messages.popleft(), "w")
        messages.extend(world.receive_all())
    assert [result.state for result in results] == ["SUCCESS", "SUCCESS"]
    assert sorted(order) == [*range(8), 100]
    assert order.index(100) <= before


@pytest.mark.parametrize("act", ["pause", "revoke"])
def test_nodes_that_were_taken_still_run_after_a_pause_or_a_revocation(world, together, during, act):
    result = launch(range(8))
    first, *spare = world.receive_all()
    done = []

    def once():
        # The signal is sent for messages whose node has been taken, too.
        if not done:
            done.append(True)
            getattr(result, act)()

    during(3, once)
    world.deliver(first, "w")
    # Those that are taken together are claimed in one statement; the first one is not among them.
    ended = 4 if together == 1 else 8
    for message in spare:
        world.deliver(message, "w")
    assert rows(result, "state")[:ended] == ["SUCCESS"] * ended
    assert "SUCCESS" not in rows(result, "state")[ended:]
    if result.state == "PAUSED":
        result.resume()
        world.deliver_all("w")
        assert rows(result, "attempts") == [1] * 8
    assert result.state == ("REVOKED" if act == "revoke" else "SUCCESS")
