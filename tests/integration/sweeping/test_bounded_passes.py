"""However many rows there are, a pass reads some pages, and the next goes on from there."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_tasktree.engine.moves import nodes
from django_tasktree.engine.sweep.pages import Walk, unsettled
from django_tasktree.models import NodeRun
from django_tasktree.sweeping import sweep
from django_tasktree.sweeping.queues import Queues
from tests import simulation
from tests.integration.sweeping.scenes import age, launched, resent


@pytest.fixture
def world(database, app, settings):
    settings.TASKTREE = {"BATCH_SIZE": 4}
    with simulation.simulated(app, "passes") as world:
        world.start_worker("w")
        yield world


def keys(walk):
    return [key for page in walk.pages("QUEUED", unsettled("QUEUED")) for (key,) in page]


def test_the_next_pass_goes_on_where_this_one_ended(world):
    expected = sorted(node.id for node in launched(*range(10)))
    first = Walk({}, most_pages=2)
    assert keys(first) == expected[:8]
    assert first.cursors == {"QUEUED": expected[7].hex}
    second = Walk(first.cursors, most_pages=2)
    assert keys(second) == expected[8:]
    assert second.cursors == {}
    assert keys(Walk(second.cursors, most_pages=2)) == expected[:8]


def test_a_page_that_ends_with_the_last_row_is_the_last(world):
    expected = sorted(node.id for node in launched(*range(4)))
    walk = Walk({}, most_pages=1)
    assert keys(walk) == expected
    assert keys(Walk(walk.cursors, most_pages=1)) == []
    assert keys(Walk()) == expected


def test_without_time_it_stops_before_the_next_page(world):
    expected = sorted(node.id for node in launched(*range(10)))
    looks = iter([True, False])
    walk = Walk({}, go_on=lambda: next(looks))
    assert keys(walk) == expected[:4]
    assert walk.cursors == {"QUEUED": expected[3].hex}


def test_everything_is_mended_in_some_passes(world):
    found = sorted(launched(*range(11)), key=lambda node: node.id)
    world.receive_all()
    for node in found:
        age(node, 60)
    cursors = {}
    for expected in (4, 4, 3, 0):
        walk = Walk(cursors, most_pages=1)
        assert sweep(world.app, walk).resent == expected
        cursors = walk.cursors
        # Else the queue would not be empty any more.
        world.receive_all()
    assert {resent(node) for node in found} == {1}


def test_a_pass_costs_the_same_over_ten_pages_or_a_thousand(world, monkeypatch):
    monkeypatch.setattr(Queues, "_ask", lambda self, queue: 1)

    def statements():
        with CaptureQueriesContext(connections[nodes().db]) as queries:
            assert not sweep(world.app, Walk({}, most_pages=3))
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
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_busy_system_costs_some_statements_only(world):
    """Nothing is wrong: so many statements a pass, every ten seconds, in all workers together."""
    launched(*range(3))
    with CaptureQueriesContext(connections[nodes().db]) as queries:
        assert not sweep(world.app)
    assert len(queries) <= 19, [query["sql"] for query in queries]
