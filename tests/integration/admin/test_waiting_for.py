"""What a node waits for, as its page shows it."""

import re
from datetime import datetime, timezone

import pytest
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.panels.waiting_for import waiting_for
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_messages")]


def reasons(node):
    """Return the texts of what a node waits for."""
    row = NodeRun.objects.select_related("run", "parent").get(id=node.id)
    return [re.sub("<[^>]+>", "", str(each)) for each in waiting_for(row, "admin")]


def launch(**options):
    """Launch a tree with a child and gather nodes."""
    tree = TaskTree(max_active=options.pop("max_active", None))
    first = tree.add_task(echo, ["a"])
    first.add_task(echo, ["b"])
    first.gather(echo, ["c"])
    tree.add_task(echo, ["d"])
    tree.gather(echo, ["e"])
    return tree.apply_async(**options)


def test_reasons_of_nodes_at_different_places_of_a_run(world):
    result = launch()
    first, other, last = result.children
    below, gather = first.children
    assert (reasons(first), reasons(below), reasons(gather)) == (["a worker"], ["the end of echo"], ["the end of echo"])
    assert (reasons(other), reasons(last)) == (["a worker"], ["all other root nodes, and what is below them"])
    (message,) = [each for each in world.receive_all() if each.id == str(first.task_id)]
    world.deliver(message, "w")
    assert (reasons(first), reasons(below), reasons(gather)) == ([], ["a worker"], ["all else below echo"])
    result.pause()
    assert reasons(below) == ["the run to be resumed", "a worker"]
    result.resume()
    below.pause()
    assert reasons(below) == ["the node to be resumed", "a worker"]
    result.revoke()
    assert reasons(last) == []


def test_reasons_of_drafts_limits_and_times(world):
    assert reasons(launch(draft=True).children[0]) == ["the launch of the draft"]
    scheduled = launch(eta=datetime(2036, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    assert reasons(scheduled.children[0]) == ["the time at which the run is launched, 01/02/2036 03:04:05"]
    first, other, _last = launch(max_active=1).children
    assert (reasons(first), reasons(other)) == (["a worker"], ["a free place: its limit of active nodes is reached"])
    NodeRun.objects.filter(id=first.id).update(eta=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    assert reasons(first) == ["its time, 01/02/2026 03:04:05"]
    NodeRun.objects.filter(id=first.id).update(eta=None, state="RETRY")
    assert reasons(first) == ["its next attempt"]


def test_the_page_shows_the_reason(world, admin_client):
    result = launch()
    below = result.children[0].children[0]
    parent, page = (
        reverse("admin:django_tasktree_noderun_change", args=[node.id]) for node in (result.children[0], below)
    )
    shown = admin_client.get(page).content.decode()
    assert "Waits for" in shown
    assert f'the end of <a href="{parent}">' in shown
