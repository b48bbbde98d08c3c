"""States and numbers in the graph and the timeline, and their buttons while nothing is drawn."""

from datetime import timedelta

import pytest
from django.utils.translation import override

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState
from tests import simulation
from tests.browser.admin_pages import run_page
from tests.sample.sub_run_tasks import replaced
from tests.sample.tasks import echo, fail

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(app, user, visitor):
    """Yield the page of a user who is logged in, with a simulated broker and worker."""
    with simulation.simulated(app, "drawn_states") as world:
        world.start_worker("w")
        visitor.world = world
        yield visitor.log_in().page


@pytest.fixture
def result(page, visitor):
    """Return a run with a failed node and one that was not reached."""
    tree = TaskTree("failed")
    tree.add_task(fail, ["no luck"]).add_task(echo)
    result = tree.apply_async()
    visitor.world.deliver_all("w")
    NodeRun.objects.filter(run_id=result.id, state="SKIPPED").update(state="PENDING")
    return result


@pytest.mark.parametrize("view", ["graph", "timeline"])
def test_states_are_shown_in_the_language_of_the_page(page, visitor, result, view):
    page.set_extra_http_headers({"Accept-Language": "de"})
    visitor.go(run_page(result, f"#{view}"))
    page.wait_for_selector(f"#{view} .tasktree-canvas a")
    titles = page.locator(f"#{view} .tasktree-canvas a > title").all_text_contents()
    with override("de"):
        assert f"fail: {NodeState.FAILURE.label}" in titles[0]
    if view == "graph":
        assert titles[1] == "echo: nicht erreicht"


def test_numbers_have_the_format_of_the_language_of_the_page(page, visitor, result):
    run = result.run
    NodeRun.objects.filter(run_id=run.id, state="FAILURE").update(
        started_at=run.started_at, finished_at=run.started_at + timedelta(seconds=1234.5)
    )
    page.set_extra_http_headers({"Accept-Language": "de"})
    visitor.go(run_page(result, "#timeline"))
    page.wait_for_selector("#timeline .tasktree-canvas a")
    (title,) = page.locator("#timeline .tasktree-canvas a > title").all_text_contents()
    assert "0 s – 1.234,5 s" in title
    assert "1.000 s" in page.locator("#timeline .tasktree-tick-label").all_text_contents()


@pytest.mark.parametrize("view", ["graph", "timeline"])
def test_the_mark_of_a_sub_run_leads_to_it(page, visitor, view):
    tree = TaskTree("outer")
    tree.add_task(replaced, [dict(fail.s("no luck"))], label="replaced")
    tree.add_task(echo, label="plain")
    result = tree.apply_async()
    visitor.world.deliver_all("w")
    began = result.run.started_at
    assert began is not None
    NodeRun.objects.filter(run_id=result.id).update(started_at=began, finished_at=began + timedelta(seconds=9))
    visitor.go(run_page(result, f"#{view}"))
    page.wait_for_selector(f"#{view} .tasktree-sub-run")
    assert page.locator(f"#{view} .tasktree-sub-run").count() == 1
    page.click(f"#{view} a[aria-label='Sub-run: replaced']")
    page.wait_for_url(f"**{run_page(result['replaced'].sub_run)}")


def test_zoom_buttons_work_after_the_graph_could_not_be_loaded(page, visitor, result):
    page.route("**/graph/**", lambda route: route.abort())
    visitor.go(run_page(result, "#graph"))
    page.wait_for_selector("#graph [role=status] >> text=It could not be loaded.")
    visitor.errors.clear()
    for kind in ("in", "out", "fit"):
        page.click(f"[data-zoom={kind}]")
    page.unroute("**/graph/**")
    page.click("#tree-tab")
    page.click("#graph-tab")
    page.wait_for_selector("#graph .tasktree-box")
    page.click("[data-zoom=in]")
