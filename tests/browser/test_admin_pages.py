"""The admin in a browser, with a worker: launch, watch, compose and control runs."""

import re
from itertools import pairwise

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.pages import launch_fields
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.testing import registered
from tests.browser.admin_pages import RUNS, node_page, run_page, wait_for_state, wide
from tests.patience import PATIENCE
from tests.sample.tasks import echo, fail, wait_for_file

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    # The test server and the worker must use the same database.
    pytest.mark.parametrize("stack", ["sqlite-filesystem"], indirect=True),
]


def test_a_run_is_launched_by_form_and_watched_until_it_ends(stack, user, visitor, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    page = visitor.log_in().page
    visitor.go(RUNS)
    page.click("text=Launch tree")
    page.click("text=Launch… >> nth=0")
    page.fill("[name=param-path]", "nowhere at all")
    page.click("input[value=Launch]")
    assert "nowhere" in page.inner_text("#content")
    page.fill("[name=param-path]", str(tmp_path))
    page.click("input[value=Launch]")
    assert re.search(r"/treerun/[0-9a-f-]{36}/change/$", page.url)
    wait_for_state(page, "success")
    run = TreeRun.objects.get()
    assert (run.state, run.launched_by) == ("SUCCESS", user)
    # The rows of the tree are updated without a reload, too.
    page.wait_for_selector(".tasktree-tree .tasktree-state-success")


def test_failed_nodes_are_retried(stack, user, visitor, tmp_path):
    tree = TaskTree("a failure")
    tree.add_task(fail, ["no luck"]).add_task(echo, ["below"])
    result = tree.apply_async()
    assert result.wait(PATIENCE) == "FAILURE"
    page = visitor.log_in().page
    visitor.go(run_page(result))
    page.click(".tasktree-errors a >> text=show in the tree")
    assert page.url.endswith(f"#node-{result.children[0].id.hex}")
    page.wait_for_selector("tr:target .tasktree-state-failure")
    page.click(".tasktree-errors a >> nth=0")
    assert page.url.endswith(node_page(result.children[0]))
    assert "CustomError" in page.inner_text("#content")
    visitor.go(run_page(result))
    page.click(".tasktree-buttons >> text=Retry…")
    assert "2 nodes run again" in page.inner_text("#content")
    page.click("input[value=Retry]")
    assert "Retry: a failure; 2 nodes run again." in page.inner_text(".messagelist")
    result.wait(PATIENCE)
    assert NodeRun.objects.get(id=result.children[0].id).attempts == 2


def test_a_watched_run_is_paused_and_resumed(stack, user, visitor, tmp_path):
    tree = TaskTree("slow")
    first = tree.add_task(wait_for_file, [str(tmp_path / "continue")])
    first.add_task(echo, ["after"])
    result = tree.apply_async()
    page = visitor.log_in().page
    visitor.go(run_page(result))
    page.click(".tasktree-buttons >> text=Pause…")
    page.click("input[value=Pause]")
    wait_for_state(page, "paused")
    (tmp_path / "continue").touch()
    page.wait_for_selector(".tasktree-tree tr:first-child .tasktree-state-success")
    assert result.progress().done == 1
    page.click(".tasktree-buttons >> text=Resume…")
    page.click("input[value=Resume]")
    wait_for_state(page, "success")


def test_several_runs_are_revoked(stack, user, visitor):
    results = []
    for number in range(3):
        tree = TaskTree(f"run {number}")
        tree.add_task(echo, [number], countdown=600)
        results.append(tree.apply_async())
    page = visitor.log_in().page
    visitor.go(RUNS)
    for result in results[:2]:
        page.check(f"input[name=_selected_action][value='{result.id}']")
    page.select_option("select[name=action]", "revoke_chosen")
    page.click("button[name=index], .actions button")
    assert "2 nodes are revoked" in page.inner_text("#content")
    page.click("input[value=Revoke]")
    assert "Revoke: 2 runs; 2 nodes are revoked." in page.inner_text(".messagelist")
    assert [result.state for result in results] == ["REVOKED", "REVOKED", "STARTED"]
    results[2].revoke()


@pytest.fixture
def greeting(monkeypatch):
    """Register a definition with a parameter that names a row of a large table."""
    monkeypatch.setattr(launch_fields, "MAX_ROWS", 0)
    with registered(greet, only=True):
        yield


def greet(user: User):
    tree = TaskTree(f"for {user}")
    tree.add_task(echo, [user.pk])
    return tree


def test_a_row_is_looked_up_while_the_user_types(stack, user, visitor, greeting):
    bertha = User.objects.create_user("bertha")
    page = visitor.log_in().page
    visitor.go(reverse("admin:django_tasktree_treerun_launch_definition", args=["greet"]))
    page.click(".select2-selection")
    page.keyboard.type("bert")
    page.click(".select2-results__option:text('bertha')")
    page.click("input[value=Launch]")
    wait_for_state(page, "success")
    assert TreeRun.objects.get().params == {"user": bertha.pk}


def fill_node(page, number, **fields):
    """Fill the fields of a node in the form of a draft."""
    for name, value in fields.items():
        page.fill(f"[name=nodes-{number}-{name}]", value)


def test_a_draft_is_composed_and_launched(stack, user, visitor):
    page = visitor.log_in().page
    visitor.go(RUNS)
    page.click("text=New draft")
    page.fill("[name=name]", "by hand")
    fill_node(page, 0, name="first", task=echo.name, args='["a"')
    fill_node(page, 1, name="unwanted", task="nonsense")
    page.click("button:text('Remove') >> nth=1")
    page.click("#tasktree-add-node")
    fill_node(page, 3, name="second", task=echo.name, parent="first", args='[{"$output": "first"}]')
    offered = page.evaluate("[...document.querySelectorAll('#tasktree-names option')].map(each => each.value)")
    assert offered == ["first", "second"]
    page.click("input[name=_save]")
    assert "This is not valid JSON" in page.inner_text(".tasktree-node-failed")
    fill_node(page, 0, args='["a"]')
    page.click("input[name=_save]")
    assert "Saved the draft “by hand”." in page.inner_text(".messagelist")
    wait_for_state(page, "draft")
    page.click(".tasktree-buttons >> text=Edit draft…")
    fill_node(page, 0, args='["changed"]')
    page.click("input[name=_launch]")
    wait_for_state(page, "success")
    (first,) = NodeRun.objects.filter(parent=None)
    assert (first.get_state_display(), first.children.get().result) == ("success", '"changed"')  # type: ignore[arg-type]


def visible_rows(page):
    """Return a locator of the visible rows of the tree."""
    return page.locator(".tasktree-tree tbody tr:visible")


def test_nodes_of_the_tree_are_expanded_in_place_page_by_page(stack, user, visitor):
    result = wide(120)
    page = visitor.log_in().page
    visitor.go(run_page(result))
    # The first children with one below, a gap, and the gather node.
    assert visible_rows(page).count() == 1 + (5 + 1) + 1 + 1
    page.click(".tasktree-tree .tasktree-cell-children a >> nth=0")
    page.wait_for_selector(".tasktree-more")
    assert visible_rows(page).count() == 1 + 50 + 1 + 1
    page.click(".tasktree-more")
    page.wait_for_selector("text=Show more (21)")
    assert visible_rows(page).count() == 1 + 100 + 1 + 1
    toggles = page.locator(".tasktree-toggle")
    # The keyboard collapses a node with everything below it, and expands it again without a request.
    toggles.first.focus()
    page.keyboard.press("Enter")
    assert visible_rows(page).count() == 1
    assert toggles.first.get_attribute("aria-expanded") == "false"
    page.keyboard.press("Enter")
    assert visible_rows(page).count() == 1 + 100 + 1 + 1
    toggles.nth(1).click()
    page.wait_for_selector("text=deep")
    page.click(".tasktree-more")
    page.wait_for_selector(".tasktree-more", state="detached")
    assert visible_rows(page).count() == 1 + 121 + 1
    result.revoke()


def test_without_permission_buttons_and_pages_are_not_available(stack, staff, visitor):
    result = wide(3)
    staff("view_treerun")
    page = visitor.log_in("bob").page
    visitor.go(run_page(result))
    assert "wide" in page.inner_text("#content")
    assert page.locator(".tasktree-buttons, .tasktree-tree, .tasktree-tabs").count() == 0
    refused = visitor.go(reverse("admin:django_tasktree_treerun_control", args=[result.id, "revoke"]))
    assert refused.status == 403
    assert result.state == "STARTED"
    result.revoke()


def addresses(result):
    """Return the addresses of pages of every kind."""
    node = result.children[0]
    return [
        RUNS,
        run_page(result),
        run_page(result, "#graph"),
        run_page(result, "#timeline"),
        node_page(node),
        reverse("admin:django_tasktree_noderun_changelist"),
        reverse("admin:django_tasktree_treerun_launch"),
        reverse("admin:django_tasktree_treerun_launch_definition", args=["inventory"]),
        reverse("admin:django_tasktree_treerun_control", args=[result.id, "delete"]),
        reverse("admin:django_tasktree_treerun_compose") + f"?from={result.id}",
        "/admin/django_tasktree/",
        reverse("admin:django_tasktree_noderun_control", args=[node.id, "complete"]),
    ]


def serious_violations(page):
    """Return the violations of accessibility rules that axe considers serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    # Do not fetch style sheets again: their imports would be resolved relative to the page.
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"], "preload": False}
    found = Axe().run(page, context="#content", options=options)
    return [
        (violation["id"], [node["html"][:120] for node in violation["nodes"][:2]])
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(stack, user, visitor, scheme):
    tree = TaskTree("accessible")
    top = tree.add_task(echo, ["top"])
    for _ in range(3):
        top.add_task(echo, ["x"])
    top.add_task(fail, ["no luck"])
    result = tree.apply_async()
    result.wait(PATIENCE)
    page = visitor.log_in().page
    page.emulate_media(color_scheme=scheme)
    violations = []
    for address in addresses(result):
        visitor.go(address)
        if "#" in address:
            page.wait_for_selector(f"{address[address.index('#') :]} svg")
        violations += [(address, *violation) for violation in serious_violations(page)]
    assert violations == []
    # Verify that the check can fail.
    page.evaluate("document.querySelector('#content').append(document.createElement('img'))")
    assert "image-alt" in {name for name, _ in serious_violations(page)}


def test_pages_do_not_scroll_sideways_on_a_narrow_screen(stack, user, visitor):
    result = wide(20)
    page = visitor.log_in().page
    page.set_viewport_size({"width": 400, "height": 800})
    for address in addresses(result)[:-1]:
        visitor.go(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        # The lists of the stock admin scroll inside their own element.
        assert width <= 400, (address, width)
    result.revoke()


def test_headings_skip_no_level(stack, user, visitor):
    result = wide(3)
    page = visitor.log_in().page
    visitor.go(run_page(result))
    levels = page.evaluate(
        "[...document.querySelectorAll('#content h1, #content h2, #content h3')].map(h => h.tagName[1])"
    )
    assert all(int(after) - int(before) <= 1 for before, after in pairwise(levels))
    result.revoke()


@pytest.mark.parametrize("width", [1280, 400])
def test_long_names_and_arguments_are_shortened(stack, user, visitor, width):
    tree = TaskTree("n" * 200)
    top = tree.add_task(echo, ["a" * 3000], countdown=600)
    top.add_task(echo, [{"with spaces " * 100: "b" * 500}])
    result = tree.apply_async(key="k" * 200)
    name = "very_long_" * 20
    NodeRun.objects.filter(id=result.children[0].id).update(task=f"shop.{name}")
    page = visitor.log_in().page
    page.set_viewport_size({"width": width, "height": 800})
    for address in (
        run_page(result),
        node_page(result.children[0]),
        reverse("admin:django_tasktree_treerun_control", args=[result.id, "pause"]),
        reverse("admin:django_tasktree_noderun_changelist"),
        RUNS,
    ):
        visitor.go(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    visitor.go(run_page(result))
    first = page.locator(".tasktree-tree tbody tr").first
    assert first.locator("td").first.bounding_box()["width"] >= 160
    assert first.bounding_box()["height"] < 300
    if width > 400:
        # State and duration are visible next to it.
        assert first.locator(".tasktree-cell-duration").bounding_box()["x"] < width
    result.revoke()
