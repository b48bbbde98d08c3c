"""Ten pages show a run of 100,000 nodes while workers execute it."""

import threading

import pytest
from django.db import connections
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.browser.admin_pages import RUNS, run_page
from tests.browser.conftest import Visitor
from tests.browser.counting import counting
from tests.browser.test_themes import PROBLEMS
from tests.patience import until
from tests.sample.tasks import echo

pytestmark = [
    pytest.mark.worker,
    pytest.mark.long,
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True),
]

WIDTH = 50_000
_COPY = """
    INSERT INTO {table} ({columns})
    SELECT {values} FROM {table} row, generate_series(1, %s) number WHERE row.parent_id = %s AND NOT row.is_gather
"""
_BLOCKED = """
    SELECT waiting.query FROM pg_stat_activity waiting, unnest(pg_blocking_pids(waiting.pid)) blocking
    WHERE waiting.datname = current_database() AND (waiting.pid = ANY(%s) OR blocking = ANY(%s))
"""


def create_huge_draft():
    """Create a draft of two root nodes with 50,000 children and a gather node each."""
    tree = TaskTree("huge")
    tops = [tree.add_task(echo, [number]) for number in range(2)]
    for top in tops:
        top.add_task(echo, ["x"])
        top.gather(echo, ["gathered"])
    result = tree.apply_async(draft=True)
    columns = [str(field.column) for field in NodeRun._meta.concrete_fields]
    fresh = {"id": "gen_random_uuid()", "task_id": "gen_random_uuid()", "position": "number"}
    with connections["postgresql"].cursor() as cursor:
        statement = _COPY.format(
            table=NodeRun._meta.db_table,
            columns=", ".join(columns),
            values=", ".join(fresh.get(column, f"row.{column}") for column in columns),
        )
        for top in tops:
            cursor.execute(statement, [WIDTH - 1, result[top].id])
    NodeRun.objects.filter(parent__isnull=True).update(child_count=WIDTH + 1)
    NodeRun.objects.filter(is_gather=True).update(position=WIDTH)
    assert NodeRun.objects.count() == 2 * WIDTH + 4
    return result


class LockMonitor(threading.Thread):
    """A thread that looks for statements that wait for a lock of a page, and for pages that wait for a lock.

    Attributes:
        blocked: the statements that waited.
        samples: how many times it has looked.
    """

    def __init__(self, backends):
        super().__init__(daemon=True)
        self.backends = backends
        self.over = threading.Event()
        self.blocked = []
        self.samples = 0

    def run(self):
        connection = connections["postgresql"].copy()
        with connection.cursor() as cursor:
            while not self.over.wait(0.02):
                pids = list(self.backends)
                cursor.execute(_BLOCKED, [pids, pids])
                self.blocked += cursor.fetchall()
                self.samples += 1
        connection.close()


def finished(result):
    """Return the number of nodes that have succeeded."""
    return NodeRun.objects.filter(run_id=result.id, state="SUCCESS").count()


@pytest.fixture
def count():
    """Yield the count of queries of all requests."""
    with counting() as count:
        yield count


def test_ten_pages_show_a_run_of_a_hundred_thousand_nodes(stack, user, browser, live_server, count):
    """Each request takes few queries, no statement waits for a lock, and every click works."""
    result = create_huge_draft()
    top = result.children[0].id
    nodes = reverse("admin:django_tasktree_noderun_changelist")
    addresses = [
        run_page(result),
        run_page(result, "#graph"),
        run_page(result, "#timeline"),
        run_page(result, f"?parent={top}"),
        run_page(result, f"?parent={top}&page=900"),
        run_page(result, "?state=SUCCESS"),
        RUNS,
        "/admin/django_tasktree/",
        f"{nodes}?run={result.id}&state__exact=QUEUED",
        reverse("admin:django_tasktree_noderun_change", args=[top]),
    ]
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    first = Visitor(context, live_server).log_in()
    visitors = [first, *(Visitor(context, live_server) for _ in addresses[1:])]
    monitor = LockMonitor(count.backends)
    monitor.start()
    try:
        threading.Thread(target=launch, args=(result,)).start()
        for visitor, address in zip(visitors, addresses, strict=True):
            visitor.go(address)
        first.page.wait_for_selector("#tasktree-live .tasktree-head .tasktree-state-started")
        page = first.page
        for _ in range(10):
            # Leave time for a poll before the click.
            page.wait_for_timeout(700)
            page.click(".tasktree-buttons [data-key=pause]")
            page.wait_for_url("**/control/pause/")
            page.click(".closelink")
            page.wait_for_url(f"**{run_page(result)}")
        before = until(lambda: finished(result) > 100 and finished(result), "the execution")
        for visitor in visitors:
            assert visitor.page.evaluate(PROBLEMS) == [], visitor.page.url
            assert not visitor.page.is_visible("[data-tasktree-stale]"), visitor.page.url
        until(lambda: finished(result) > before, "its continuation")
    finally:
        monitor.over.set()
        monitor.join()
        result.revoke()
        context.close()
    assert [visitor.errors for visitor in visitors] == [[]] * len(visitors)
    assert monitor.samples > 100
    assert monitor.blocked == []
    assert len(count.requests) > 50
    most_expensive = sorted(count.requests, key=lambda request: request[1])[-5:]
    assert most_expensive[-1][1] <= 25, most_expensive


def launch(result):
    """Launch the draft in a thread, with a connection of its own."""
    result.launch()
    connections["postgresql"].close()
