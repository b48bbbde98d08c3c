"""Each progress widget on a user's page reports when it is not up to date."""

import pytest
from django.template import Context, Template

from django_tasktree import TaskTree
from django_tasktree.models import TreeRun
from django_tasktree.reporting import node_counts
from django_tasktree.views import progress_link
from tests.patience import until
from tests.sample.tasks import echo

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
_POLLS = "performance.getEntriesByType('resource').filter((each) => each.name.includes('/status/')).length"
_TWO_WIDGETS = "<!doctype html>{% load tasktree %}{% tasktree_progress one %}{% tasktree_progress other %}"


def launch(name):
    """Launch a run that does not end during the test."""
    tree = TaskTree(name)
    tree.add_task(echo, countdown=600)
    return tree.apply_async()


@pytest.fixture
def page(app, visitor):
    """Yield the page, and ignore the errors that the tests cause."""
    yield visitor.page
    # The browser logs refused requests in its console.
    visitor.errors.clear()


def test_a_deleted_run_is_reported(page, visitor):
    run = launch("deleted")
    visitor.go(progress_link(run))
    assert not page.is_visible(".tasktree-widget-stale")
    TreeRun.objects.filter(id=run.id).delete()
    page.wait_for_selector(".tasktree-widget-stale >> text=the run was deleted")


def test_a_server_that_does_not_answer_is_reported_until_it_does(page, visitor):
    run = launch("kept")
    visitor.go(progress_link(run))
    page.route("**/status/**", lambda route: route.abort())
    page.wait_for_selector(".tasktree-widget-stale >> text=The server does not answer")
    page.unroute("**/status/**")
    page.wait_for_selector(".tasktree-widget-stale", state="hidden")


def test_each_of_two_widgets_reports_its_own_state(page, live_server):
    deleted, kept = launch("deleted"), launch("kept")
    html = Template(_TWO_WIDGETS).render(Context({"one": deleted, "other": kept}))
    page.route("**/two/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(live_server.url + "/two/")
    first, second = page.locator(".tasktree-widget").all()
    TreeRun.objects.filter(id=deleted.id).delete()
    first.locator(".tasktree-widget-stale >> text=the run was deleted").wait_for()
    before = page.evaluate(_POLLS)
    until(lambda: page.evaluate(_POLLS) > before, "a poll of the other widget")
    assert first.locator(".tasktree-widget-stale").is_visible()
    assert not second.locator(".tasktree-widget-stale").is_visible()
    assert "tasktree-is-stale" not in second.get_attribute("class")


def test_a_widget_that_is_inserted_later_is_updated(page, visitor):
    first, later = launch("first"), launch("later")
    visitor.go(progress_link(first))
    page.wait_for_selector("[data-tasktree-live]")
    html = Template("{% load tasktree %}{% tasktree_progress run %}").render(Context({"run": later}))
    page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", html)
    TreeRun.objects.filter(id=later.id).delete()
    page.locator(".tasktree-widget").last.locator(".tasktree-widget-stale >> text=the run was deleted").wait_for()


def test_a_very_large_run_that_has_ended_is_counted_by_the_first_poll(page, visitor, eager, monkeypatch):
    monkeypatch.setattr(node_counts, "SMALL", 2)
    monkeypatch.setattr(node_counts, "QUICK", 2)
    tree = TaskTree("large")
    for number in range(3):
        tree.add_task(echo, [number])
    visitor.go(progress_link(tree.apply_async()))
    assert page.is_visible(".tasktree-widget-text >> text=more than 2 nodes")
    page.wait_for_selector(".tasktree-widget-text >> text=3 / 3")
    polls = page.evaluate(_POLLS)
    page.wait_for_timeout(2500)
    assert page.evaluate(_POLLS) == polls
