"""A pass of the sweep reads a limited number of pages, and the next pass continues after them."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree.engine.backends import database_now
from django_tasktree.engine.heartbeats import beat
from django_tasktree.engine.recovery.scan import Scan, unsettled
from django_tasktree.engine.transitions import nodes
from django_tasktree.models import NodeRun
from django_tasktree.recovery.queues import Queues
from django_tasktree.recovery.sweep import sweep
from django_tasktree.states import NodeState
from tests import simulation
from tests.integration.recovery.scenes import age, launched, resend_count

pytestmark = pytest.mark.usefixtures("own_messages")


@pytest.fixture
def world(database, app, settings):
    """Yield a simulation with one worker and pages of four rows."""
    settings.TASKTREE = {"BATCH_SIZE": 4}
    with simulation.simulated(app, "passes") as world:
        world.start_worker("w")
        yield world


def keys(scan):
    """Return the IDs of the queued nodes that a scan finds."""
    return [key for page in scan.pages("QUEUED", unsettled(NodeState.QUEUED)) for (key,) in page]


def test_the_next_pass_continues_where_this_one_ended(world):
    expected = sorted(node.id for node in launched(*range(10)))
    first = Scan({}, max_pages=2)
    assert keys(first) == expected[:8]
    assert first.cursors == {"QUEUED": expected[7].hex}
    second = Scan(first.cursors, max_pages=2)
    assert keys(second) == expected[8:]
    assert second.cursors == {}
    assert keys(Scan(second.cursors, max_pages=2)) == expected[:8]


def test_a_page_that_ends_with_the_last_row_is_the_last(world):
    expected = sorted(node.id for node in launched(*range(4)))
    scan = Scan({}, max_pages=1)
    assert keys(scan) == expected
    assert keys(Scan(scan.cursors, max_pages=1)) == []
    assert keys(Scan()) == expected


def test_a_pass_without_time_stops_before_the_next_page(world):
    expected = sorted(node.id for node in launched(*range(10)))
    times_left = iter([True, False])
    scan = Scan({}, may_continue=lambda: next(times_left))
    assert keys(scan) == expected[:4]
    assert scan.cursors == {"QUEUED": expected[3].hex}


def test_all_nodes_are_repaired_in_several_passes(world):
    found = sorted(launched(*range(11)), key=lambda node: node.id)
    world.receive_all()
    for node in found:
        age(node, 60)
    cursors = {}
    # The first pass sees an empty queue; its messages are lost if the next heartbeats do not list them.
    for expected in (0, 4, 3, 4, 0):
        scan = Scan(cursors, max_pages=1)
        assert sweep(world.app, scan).resent == expected
        cursors = scan.cursors
        beat(lambda: world.hosts["w"])
        world.witness(database_now())
        # Otherwise the queue would not be empty.
        world.receive_all()
    assert {resend_count(node) for node in found} == {1}


def test_the_statements_of_a_pass_do_not_depend_on_the_number_of_pages(world, monkeypatch):
    monkeypatch.setattr(Queues, "ask", lambda self, queue: 1)

    def statements():
        with CaptureQueriesContext(connections[nodes().db]) as queries:
            assert not sweep(world.app, Scan({}, max_pages=3))
        return len(queries)

    for node in launched(*range(16)):
        age(node, 60)
    few = statements()
    row = NodeRun.objects.filter(state="QUEUED").first()
    copies = [NodeRun(**{**values(row), "id": None, "task_id": None}) for _ in range(2000)]
    for copy in copies:
        copy.id, copy.task_id = NodeRun._meta.pk.get_default(), NodeRun._meta.get_field("task_id").get_default()
    NodeRun.objects.bulk_create(copies, batch_size=500)
    assert statements() == few


def values(row):
    """Return the columns of a row."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_pass_without_repairs_takes_few_statements(world):
    """There is one such pass every ten seconds, for all workers together."""
    launched(*range(3))
    with CaptureQueriesContext(connections[nodes().db]) as queries:
        assert not sweep(world.app)
    assert len(queries) <= 22, [query["sql"] for query in queries]
