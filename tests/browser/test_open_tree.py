"""The rows of an open tree show the current state of their nodes, which other requests and workers change."""

import pytest

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, TreeRun
from tests import simulation
from tests.browser.admin_pages import run_page, wait_for_state
from tests.patience import until
from tests.sample.tasks import echo, fail

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(app):
    """Yield a simulated broker with one worker."""
    with simulation.simulated(app, "open_tree") as world:
        world.start_worker("w")
        yield world


@pytest.fixture
def page(world, user, visitor):
    """Return the page of a user who is logged in."""
    return visitor.log_in().page


def row_of(node):
    """Return the selector of a node's row."""
    return f"#node-{node.id.hex}"


def launch_failing():
    """Launch a run with a node that fails and one that starts later."""
    tree = TaskTree("failing")
    tree.add_task(fail, ["no luck"]).add_task(echo, ["below"])
    tree.add_task(echo, ["slow"], countdown=600)
    return tree.apply_async()


@pytest.mark.parametrize("view", ["", "?q=fail"])
def test_a_retry_of_a_failed_node_is_shown(world, page, visitor, view):
    result = launch_failing()
    failed = result.children[0]
    for message in world.receive_all():
        if message.id == str(failed.id):
            world.deliver(message, "w")
    assert (failed.state, result.state) == ("FAILURE", "STARTED")
    visitor.go(run_page(result, view))
    page.wait_for_selector(f"{row_of(failed)} .tasktree-state-failure")
    failed.retry()
    page.wait_for_selector(f"{row_of(failed)} .tasktree-state-queued")


def test_deleted_nodes_are_removed(page, visitor):
    tree = TaskTree("edited")
    root = tree.add_task(echo, ["top"], countdown=600)
    child = root.add_task(echo, ["deleted"])
    child.add_task(echo, ["below"])
    root.add_task(echo, ["kept"])
    result = tree.apply_async()
    top, deleted = result[root], result[child]
    visitor.go(run_page(result))
    assert page.locator(".tasktree-tree tr[data-node]").count() == 4
    NodeRun.objects.filter(parent_id=deleted.id).delete()
    NodeRun.objects.filter(id=deleted.id).delete()
    NodeRun.objects.filter(id=top.id).update(child_count=1)
    page.wait_for_selector(row_of(deleted), state="detached")
    assert page.locator(".tasktree-tree tr[data-node]").count() == 2
    until(lambda: page.inner_text(f"{row_of(top)} .tasktree-cell-children") == "show 1 child")
    NodeRun.objects.filter(parent_id=top.id).delete()
    NodeRun.objects.filter(id=top.id).update(child_count=0)
    page.wait_for_selector(f"{row_of(top)} .tasktree-toggle", state="detached")
    assert page.inner_text(f"{row_of(top)} .tasktree-cell-children") == ""
    assert page.locator(".tasktree-tree tr[data-node]").count() == 1


def test_each_of_many_rows_is_updated(page, visitor):
    tree = TaskTree("wide")
    for number in range(50):
        top = tree.add_task(echo, [number], countdown=600)
        for _ in range(4):
            top.add_task(echo, ["below"])
    result = tree.apply_async()
    visitor.go(run_page(result))
    rows = page.locator(".tasktree-tree tr[data-node]")
    assert rows.count() == 200
    for number in (0, 101, 199):
        key = rows.nth(number).get_attribute("data-node")
        NodeRun.objects.filter(id=key).update(state="SKIPPED")
        page.wait_for_selector(f"#node-{key} .tasktree-state-skipped")


def ended_run(world):
    """Return a run that has failed."""
    tree = TaskTree("ended")
    tree.add_task(fail, ["no luck"])
    result = tree.apply_async()
    world.deliver_all("w")
    assert result.state == "FAILURE"
    return result


def test_a_run_that_has_ended_is_polled_from_time_to_time(world, page, visitor):
    result = ended_run(world)
    page.clock.install()
    visitor.go(run_page(result))
    wait_for_state(page, "failure")
    result.retry()
    page.clock.fast_forward(16_000)
    wait_for_state(page, "started")
    world.deliver_all("w")
    page.clock.fast_forward(2_000)
    wait_for_state(page, "failure")
    TreeRun.objects.filter(id=result.id).delete()
    page.clock.fast_forward(16_000)
    page.wait_for_selector("[data-tasktree-stale] >> text=was deleted")
    visitor.errors.clear()


def test_a_run_that_has_ended_is_updated_when_its_tab_becomes_visible(world, page, visitor):
    result = ended_run(world)
    visitor.go(run_page(result))
    result.retry()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#tasktree-live .tasktree-head .tasktree-state-started")


#: A script that shortens timeouts of requests: 15 seconds become half a second.
_SHORT_TIMEOUTS = (
    "{ const timeout = AbortSignal.timeout; AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 30); }"
)


def test_a_server_that_hangs_is_reported(page, visitor):
    result = launch_failing()
    page.add_init_script(_SHORT_TIMEOUTS)
    page.route("**/live/**", lambda route: None)
    visitor.go(run_page(result))
    page.wait_for_selector("[data-tasktree-stale] >> text=The server does not answer")
    page.unroute("**/live/**")
    page.wait_for_selector("[data-tasktree-stale]", state="hidden")
