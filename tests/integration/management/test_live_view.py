"""The views with which commands follow a run: live, plain and quiet."""

import re
from io import StringIO

import pytest
from rich.console import Console

from django_tasktree import TaskTree
from django_tasktree.engine.lifecycle.claim import claim
from django_tasktree.engine.types import NodeRef
from django_tasktree.management import follow
from django_tasktree.management.display.views import LiveView, PlainView, QuietView
from django_tasktree.models import NodeRun
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)


def terminal(**options):
    """Return a console that simulates a terminal."""
    return Console(file=StringIO(), force_terminal=True, width=100, height=20, highlight=False, **options)


def start(node_id):
    """Claim a node, as a worker does."""
    assert claim(NodeRef.of(NodeRun.objects.get(id=node_id)), "w1")


def launch_wide(width):
    """Launch a finished root node with queued children; return the run and the children."""
    tree = TaskTree()
    root = tree.add_task(tasks.echo)
    for number in range(width):
        root.add_task(tasks.echo, [number])
    result = tree.apply_async()
    NodeRun.objects.filter(id=result[root].id).update(state="SUCCESS")
    NodeRun.objects.filter(parent_id=result[root].id).update(state="QUEUED")
    return result, result[root].children


def shown(view, result):
    """Return the text that a view writes when it is updated, without escape sequences."""
    view.console.file.truncate(0)
    view.show(*follow.poll(result.id))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", view.console.file.getvalue())


def test_the_live_view_shows_a_small_tree_whole():
    result, _ = launch_wide(3)
    with LiveView(terminal(), result.id) as view:
        text = shown(view, result)
    assert "1 of 4 nodes" in text
    assert "├─ ◦ echo(0)" in text
    assert "└─ ◦ echo(2)" in text


def test_the_live_view_of_a_large_tree_prefers_running_and_failed_nodes():
    result, nodes = launch_wide(300)
    start(nodes[250].id)
    NodeRun.objects.filter(id=nodes[270].id).update(state="FAILURE", error_message="no luck")
    with LiveView(terminal(), result.id) as view:
        text = shown(view, result)
    assert "▶ echo(250)" in text
    assert "✘ echo(270)" in text
    assert "no luck" in text
    assert re.search(r"✔ echo\(\).* \+29\d", text)
    assert len([line for line in text.splitlines() if "echo" in line]) <= 15


@pytest.mark.parametrize("width", [3, 30, 600])
def test_an_update_of_a_wide_tree_takes_few_queries(django_assert_max_num_queries, width):
    result, nodes = launch_wide(width)
    start(nodes[0].id)
    with LiveView(terminal(), result.id) as view:
        for _ in range(2):
            with django_assert_max_num_queries(9):
                shown(view, result)


def test_an_update_of_a_deep_tree_takes_few_queries(django_assert_max_num_queries):
    tree = TaskTree()
    for _ in range(300):
        tree.push(tasks.echo)
    result = tree.apply_async()
    rows = list(NodeRun.objects.order_by("id"))
    NodeRun.objects.filter(id__in=[row.id for row in rows[:-1]]).update(state="SUCCESS")
    NodeRun.objects.filter(id=rows[-1].id).update(state="STARTED")
    with LiveView(terminal(), result.id) as view, django_assert_max_num_queries(15):
        text = shown(view, result)
    assert "▶ echo()" in text


@pytest.mark.parametrize(("view", "queries"), [(PlainView, 3), (QuietView, 3)])
def test_plain_and_quiet_views_only_count(django_assert_num_queries, view, queries):
    result, _ = launch_wide(3)
    with view(Console(file=StringIO()), result.id) as opened, django_assert_num_queries(queries):
        opened.show(*follow.poll(result.id))
