"""The page of a node."""

import pytest
from django.urls import reverse
from django_celery_results.models import TaskResult

from django_tasktree import TaskTree
from django_tasktree.encoding import serialization
from django_tasktree.models import NodeRun
from testproject.celery import app
from tests import celery_settings
from tests.integration.admin.pages import change_page, launch_roots, node_page, shown
from tests.sample import tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("eager")]


@pytest.fixture
def accepts_pickle():
    """Let the Celery app accept pickled content."""
    with celery_settings.changed(app, accept_content=["json", "pickle"]):
        yield


class Bomb:
    """Record that it was unpickled."""

    exploded = False

    def __reduce__(self):
        return explode, ()


def explode():
    Bomb.exploded = True


def test_a_pickled_text_is_not_loaded(admin_client, accepts_pickle):
    node = launch_roots([1]).children[0].node
    text = serialization.dumps([Bomb()], prefer="pickle")
    NodeRun.objects.filter(id=node.id).update(result=text, args=text, kwargs=text)
    page = shown(admin_client, node_page(node))
    assert page.count(f"Pickled, {len(text)} characters.") == 3
    assert "echo</a><span" in shown(admin_client, change_page(node.run))
    assert not Bomb.exploded
    # Loading it does call the function.
    serialization.loads(text)
    assert Bomb.exploded


def test_attempts_and_their_task_results_are_shown(admin_client, staff):
    node = launch_roots([5], task=tasks.auto_flaky).children[0].node
    row = TaskResult.objects.create(task_id=str(node.task_id))
    link = reverse("admin:django_celery_results_taskresult_change", args=[row.pk])
    text = shown(admin_client, node_page(node))
    assert node.attempts == 3
    assert text.count("tasktree-state-retry") == 2
    assert "Traceback (most recent call last)" in text
    assert "CustomError: try 1</summary>" in text
    assert text.count(link) == 1
    assert link not in shown(staff("view_noderun"), node_page(node))


def test_a_node_that_was_not_started(admin_client):
    tree = TaskTree()
    tree.add_task(tasks.fail).add_task(tasks.echo)
    node = tree.apply_async().children[0].children[0]
    text = shown(admin_client, node_page(node))
    assert "No worker has started this node." in text
    assert node_page(node.parent) in text


def test_a_map_shows_how_many_failures_it_tolerates(admin_client):
    tree = TaskTree()
    pages = tree.map(tasks.echo, over=[1, 2, 3, 4], tolerate="50%")
    text = shown(admin_client, node_page(tree.apply_async()[pages].node))
    assert "<dt>Tolerated failures</dt><dd>2</dd>" in text
