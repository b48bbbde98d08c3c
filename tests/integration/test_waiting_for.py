"""What the page of a node says that it waits for."""

import re
from datetime import datetime, timezone

import pytest
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.waiting_for import waiting_for
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


def told(node):
    row = NodeRun.objects.select_related("run", "parent").get(id=node.id)
    return [re.sub("<[^>]+>", "", str(each)) for each in waiting_for(row, "admin")]


def launched(**options):
    tree = TaskTree(max_active=options.pop("max_active", None))
    first = tree.add_task(echo, ["a"])
    first.add_task(echo, ["b"])
    first.gather(echo, ["c"])
    tree.add_task(echo, ["d"])
    tree.gather(echo, ["e"])
    return tree.apply_async(**options)


def test_each_waits_for_something_else(world):
    result = launched()
    first, other, last = result.children
    below, gather = first.children
    assert (told(first), told(below), told(gather)) == (["a worker"], ["the end of echo"], ["the end of echo"])
    assert (told(other), told(last)) == (["a worker"], ["all other root nodes, and what is below them"])
    (message,) = [each for each in world.receive_all() if each.id == str(first.task_id)]
    world.deliver(message, "w")
    assert (told(first), told(below), told(gather)) == ([], ["a worker"], ["all else below echo"])
    result.pause()
    assert told(below) == ["somebody who resumes the run", "a worker"]
    result.resume()
    below.pause()
    assert told(below) == ["somebody who resumes it", "a worker"]
    result.revoke()
    assert told(last) == []


def test_drafts_and_limits_and_times(world):
    assert told(launched(draft=True).children[0]) == ["somebody who launches the draft"]
    scheduled = launched(eta=datetime(2036, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    assert told(scheduled.children[0]) == ["the time at which the run is launched, 01/02/2036 03:04:05"]
    first, other, _last = launched(max_active=1).children
    assert (told(first), told(other)) == (["a worker"], ["a free place: its limit of active nodes is reached"])
    NodeRun.objects.filter(id=first.id).update(eta=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    assert told(first) == ["its time, 01/02/2026 03:04:05"]
    NodeRun.objects.filter(id=first.id).update(eta=None, state="RETRY")
    assert told(first) == ["its next attempt"]


def test_the_page_tells_it(world, admin_client):
    result = launched()
    below = result.children[0].children[0]
    parent, page = (
        reverse("admin:django_tasktree_noderun_change", args=[node.id]) for node in (result.children[0], below)
    )
    shown = admin_client.get(page).content.decode()
    assert "Waits for" in shown
    assert f'the end of <a href="{parent}">' in shown
