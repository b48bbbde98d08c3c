"""The template tag ``{% tasktree_progress %}`` and the progress pages."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import path, reverse
from django.utils.translation import override

from django_tasktree import TaskTree
from django_tasktree.models import TreeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)

urlpatterns = [path("elsewhere/", lambda request: HttpResponse())]


def launch(task=echo, name="order 7"):
    """Launch a tree of two nodes, one below the other."""
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async()


def shown(run, options=""):
    """Return the HTML of the tag."""
    return Template("{% load tasktree %}{% tasktree_progress run " + options + " %}").render(Context({"run": run}))


@pytest.mark.parametrize("given", ["handle", "row", "key", "text"])
def test_the_tag_accepts_a_handle_a_row_or_a_key(eager, given):
    result = launch()
    row = TreeRun.objects.get(id=result.id)
    html = shown({"handle": result, "row": row, "key": result.id, "text": str(result.id)}[given])
    assert "order 7" in html
    assert "2 / 2" in html
    assert 'aria-valuenow="100"' in html


def test_the_widget_is_updated_until_the_run_ends(client):
    result = launch()
    html = shown(result)
    assert "data-tasktree-over" not in html
    address = re.search(r'data-tasktree-status="([^"]+)"', html)[1]  # type: ignore[index]
    assert client.get(address).json()["state"] == "STARTED"
    result.revoke()
    assert 'data-tasktree-over="1"' in shown(result)


def test_the_page_is_reloaded_only_on_request(eager):
    assert "reload" not in shown(launch())
    assert 'data-tasktree-reload="1"' in shown(launch(), "reload=True")


def test_names_are_escaped(eager):
    assert "<script>alert" not in shown(launch(name="<script>alert(1)</script>"))


def test_widths_in_the_bar_are_not_localized(eager):
    tree = TaskTree()
    for task in (echo, echo, fail):
        tree.add_task(task, ["a"])
    result = tree.apply_async()
    with override("de"):
        assert 'width="66.67"' in shown(result)


def test_a_run_that_does_not_exist_is_an_error(db):
    with pytest.raises(TreeRun.DoesNotExist):
        shown(uuid4())


def test_urls_that_are_not_included_are_reported(eager, settings):
    result = launch()
    settings.ROOT_URLCONF = __name__
    with pytest.raises(ImproperlyConfigured, match=r'include\("django_tasktree.urls"\)'):
        shown(result)


def test_the_progress_page_needs_a_login_and_permission(eager, client):
    result = launch()
    page = reverse("tasktree:progress", args=[result.id])
    assert client.get(page)["Location"].startswith("/admin/login/?next=/tasktree/runs/")
    client.force_login(User.objects.create_user("other"))
    assert client.get(page).status_code == 404
    TreeRun.objects.filter(id=result.id).update(launched_by=User.objects.get())
    assert "order 7" in client.get(page).content.decode()
