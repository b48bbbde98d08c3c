"""Open pages of the admin are kept up to date, or report that they are not, without disturbing the user."""

import pytest

from django_tasktree import TaskTree
from tests.browser.admin_pages import RUNS, run_page, wait_for_state, wide
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo, fail, wait_for_file

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    # The test server and the worker must use the same database.
    pytest.mark.parametrize("stack", ["sqlite-filesystem"], indirect=True),
]


def test_the_list_is_kept_up_to_date(stack, user, visitor, tmp_path):
    tree = TaskTree("listed")
    tree.add_task(wait_for_file, [str(tmp_path / "continue")])
    result = tree.apply_async()
    page = visitor.log_in().page
    visitor.go(RUNS)
    page.check(f"input[name=_selected_action][value='{result.id}']")
    (tmp_path / "continue").touch()
    page.wait_for_selector("#result_list .tasktree-state-success")
    assert page.is_checked("input[name=_selected_action]")


def test_the_dashboard_is_kept_up_to_date(stack, user, visitor):
    page = visitor.log_in().page
    visitor.go("/admin/django_tasktree/")
    assert "No runs in progress." in page.inner_text("#content")
    tree = TaskTree("new")
    tree.add_task(echo, ["a"], countdown=600)
    result = tree.apply_async()
    page.wait_for_selector("#tasktree-dashboard .tasktree-state-started")
    result.revoke()


def change_responses(page, pattern, change):
    """Make each response to the page's polls differ from the one before."""
    count = iter(range(1, 10_000))

    def answer(route):
        response = route.fetch(headers={**route.request.headers, "if-none-match": ""})
        body = change(response.json(), next(count))
        route.fulfill(status=200, json=body, headers={"ETag": f'"{next(count)}"'})

    page.route(pattern, answer)


def test_a_refresh_changes_only_what_has_changed(stack, user, visitor, tmp_path):
    """Clicks, selections and the focus are not affected while counts, errors and times change around them."""
    tree = TaskTree("watched")
    tree.add_task(wait_for_file, [str(tmp_path / "continue")])
    tree.add_task(fail, ["no luck"])
    result = tree.apply_async()
    page = visitor.log_in().page

    def change(answer, number):
        return {**answer, "html": answer["html"].replace("1 / 2", f"{number} / 2")}

    change_responses(page, "**/live/**", change)
    visitor.go(run_page(result))
    page.evaluate("""
        window.polls = 0;
        document.addEventListener("tasktree:changed", () => (window.polls += 1));
        const id = document.querySelector(".tasktree-facts .tasktree-id");
        getSelection().selectAllChildren(id);
        window.button = document.querySelector(".tasktree-buttons [data-key=pause]");
    """)
    box = page.locator(".tasktree-buttons [data-key=pause]").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    until(lambda: page.evaluate("window.polls >= 2"))
    assert page.evaluate("getSelection().toString()") == str(result.id)
    assert page.evaluate("window.button.isConnected")
    # A poll comes between pressing and releasing the button.
    page.mouse.down()
    until(lambda: page.evaluate("window.polls >= 3"))
    page.mouse.up()
    page.wait_for_url("**/control/pause/")
    (tmp_path / "continue").touch()
    result.wait(PATIENCE)


def test_the_browser_counts_durations(stack, user, visitor, tmp_path):
    tree = TaskTree("watched")
    tree.add_task(wait_for_file, [str(tmp_path / "continue")])
    result = tree.apply_async()
    page = visitor.log_in().page
    # The server does not respond.
    page.route("**/live/**", lambda route: route.abort())
    visitor.go(run_page(result))
    ticking = page.locator(".tasktree-facts [data-tasktree-since]")
    before = ticking.inner_text()
    until(lambda: page.text_content("[data-tasktree-since]") != before)
    # The page reports this, and stops counting.
    page.wait_for_selector("[data-tasktree-stale] >> text=The server does not answer")
    page.unroute("**/live/**")
    page.wait_for_selector("[data-tasktree-stale]", state="hidden")
    (tmp_path / "continue").touch()
    wait_for_state(page, "success")
    assert page.locator("[data-tasktree-since]").count() == 0
    visitor.errors.clear()


@pytest.mark.parametrize("path", ["run", "list", "index"])
def test_a_logout_is_reported(stack, user, visitor, path, tmp_path):
    tree = TaskTree("watched")
    tree.add_task(wait_for_file, [str(tmp_path / "continue")])
    result = tree.apply_async()
    page = visitor.log_in().page
    visitor.go({"run": run_page(result), "list": RUNS, "index": "/admin/django_tasktree/"}[path])
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("[data-tasktree-stale] >> text=You are logged out")
    (tmp_path / "continue").touch()
    result.wait(PATIENCE)


def test_new_runs_appear_in_an_open_list(stack, user, visitor):
    page = visitor.log_in().page
    visitor.go(RUNS)
    page.wait_for_selector(".tasktree-empty")
    first = wide(1)
    page.wait_for_selector("#result_list tr >> text=wide")
    page.check(f"input[name=_selected_action][value='{first.id}']")
    second = wide(1)
    page.wait_for_selector(f"input[name=_selected_action][value='{second.id}']")
    assert page.locator("#result_list tbody tr").count() == 2
    assert str(second.id) in page.locator("#result_list tbody tr").first.inner_html()
    assert page.is_checked(f"input[name=_selected_action][value='{first.id}']")
    first.revoke()
    second.revoke()
