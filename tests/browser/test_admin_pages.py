"""The admin in a browser, with a worker: launch, watch, open, steer."""

import re
from itertools import pairwise

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_tasktree import TaskTree, register_tree, registry
from django_tasktree.admin import launch_fields
from django_tasktree.models import NodeRun, TreeRun
from tests.patience import PATIENCE
from tests.sample.tasks import echo, fail, wait_for_file

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    # The server of the tests reads what the worker writes in one database.
    pytest.mark.parametrize("stack", ["sqlite-filesystem"], indirect=True),
]

RUNS = reverse("admin:django_tasktree_treerun_changelist")


def run_page(run, view=""):
    return reverse("admin:django_tasktree_treerun_change", args=[run.id]) + view


def node_page(node):
    return reverse("admin:django_tasktree_noderun_change", args=[node.id])


def wait_for_state(page, state):
    page.wait_for_selector(f"#tasktree-live .tasktree-head .tasktree-state-{state}")


def test_launch_by_form_and_watch_it_end(stack, user, visitor, tmp_path):
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
    # Without a reload: the rows of the tree are up to date too.
    page.wait_for_selector(".tasktree-tree .tasktree-state-success")


def test_retry_what_failed(stack, user, visitor, tmp_path):
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
    assert "Retry: 1 run; 2 nodes run again." in page.inner_text(".messagelist")
    result.wait(PATIENCE)
    assert NodeRun.objects.get(id=result.children[0].id).attempts == 2


def test_pause_and_resume_a_run_that_is_watched(stack, user, visitor, tmp_path):
    tree = TaskTree("slow")
    first = tree.add_task(wait_for_file, [str(tmp_path / "go on")])
    first.add_task(echo, ["after"])
    result = tree.apply_async()
    page = visitor.log_in().page
    visitor.go(run_page(result))
    page.click(".tasktree-buttons >> text=Pause…")
    page.click("input[value=Pause]")
    wait_for_state(page, "paused")
    (tmp_path / "go on").touch()
    page.wait_for_selector(".tasktree-tree tr:first-child .tasktree-state-success")
    assert result.progress().done == 1
    page.click(".tasktree-buttons >> text=Resume…")
    page.click("input[value=Resume]")
    wait_for_state(page, "success")


def test_the_list_stays_up_to_date(stack, user, visitor, tmp_path):
    tree = TaskTree("listed")
    tree.add_task(wait_for_file, [str(tmp_path / "go on")])
    result = tree.apply_async()
    page = visitor.log_in().page
    visitor.go(RUNS)
    page.check(f"input[name=_selected_action][value='{result.id}']")
    (tmp_path / "go on").touch()
    page.wait_for_selector("#result_list .tasktree-state-success")
    assert page.is_checked("input[name=_selected_action]")


def test_revoke_many(stack, user, visitor):
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
    assert "2 nodes never start" in page.inner_text("#content")
    page.click("input[value=Revoke]")
    assert "Revoke: 2 runs; 2 nodes never start." in page.inner_text(".messagelist")
    assert [result.state for result in results] == ["REVOKED", "REVOKED", "STARTED"]
    results[2].revoke()


@pytest.fixture
def greeting(monkeypatch):
    """A definition with a parameter that names a row of a large table."""
    monkeypatch.setattr(registry.registry, "_definitions", {})
    monkeypatch.setattr(launch_fields, "_MOST_ROWS", 0)

    @register_tree
    def greet(user: User):
        tree = TaskTree(f"for {user}")
        tree.add_task(echo, [user.pk])
        return tree


def test_a_row_is_looked_up_while_one_types(stack, user, visitor, greeting):
    bertha = User.objects.create_user("bertha")
    page = visitor.log_in().page
    visitor.go(reverse("admin:django_tasktree_treerun_launch_definition", args=["greet"]))
    page.click(".select2-selection")
    page.keyboard.type("bert")
    page.click(".select2-results__option:text('bertha')")
    page.click("input[value=Launch]")
    wait_for_state(page, "success")
    assert TreeRun.objects.get().params == {"user": bertha.pk}


def test_the_dashboard_stays_up_to_date(stack, user, visitor):
    page = visitor.log_in().page
    visitor.go("/admin/django_tasktree/")
    assert "No run is going." in page.inner_text("#content")
    tree = TaskTree("new")
    tree.add_task(echo, ["a"], countdown=600)
    result = tree.apply_async()
    page.wait_for_selector("#tasktree-dashboard .tasktree-state-started")
    result.revoke()


def fill_node(page, number, **fields):
    for name, value in fields.items():
        page.fill(f"[name=nodes-{number}-{name}]", value)


def test_compose_a_draft_and_launch_it(stack, user, visitor):
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
    assert "This is no JSON" in page.inner_text(".tasktree-node-failed")
    fill_node(page, 0, args='["a"]')
    page.click("input[name=_save]")
    assert "Saved the draft “by hand”." in page.inner_text(".messagelist")
    wait_for_state(page, "draft")
    page.click(".tasktree-buttons >> text=Edit draft…")
    fill_node(page, 0, args='["changed"]')
    page.click("input[name=_launch]")
    wait_for_state(page, "success")
    (first,) = NodeRun.objects.filter(parent=None)
    assert (first.get_state_display(), first.children.get().result) == ("success", '"changed"')


def wide(children):
    """A run that has not started: a node with many below it, one of which has a child."""
    tree = TaskTree("wide")
    top = tree.add_task(echo, ["top"], countdown=600)
    for number in range(children):
        node = top.add_task(echo, [number])
        if number == 3:
            node.add_task(echo, ["deep"])
    top.gather(echo, [top.outputs])
    return tree.apply_async()


def visible_rows(page):
    return page.locator(".tasktree-tree tbody tr:visible")


def test_the_tree_opens_in_place_a_page_at_a_time(stack, user, visitor):
    result = wide(120)
    page = visitor.log_in().page
    visitor.go(run_page(result))
    assert visible_rows(page).count() == 1 + 5 + 1
    page.click(".tasktree-tree .tasktree-cell-children a >> nth=0")
    page.wait_for_selector(".tasktree-more")
    assert visible_rows(page).count() == 1 + 50 + 1
    page.click(".tasktree-more")
    page.wait_for_selector("text=Show more (21)")
    assert visible_rows(page).count() == 1 + 100 + 1
    toggles = page.locator(".tasktree-toggle")
    # With the keyboard: closed, and all that is below is away; open again, and it is there without being fetched.
    toggles.first.focus()
    page.keyboard.press("Enter")
    assert visible_rows(page).count() == 1
    assert toggles.first.get_attribute("aria-expanded") == "false"
    page.keyboard.press("Enter")
    assert visible_rows(page).count() == 1 + 100 + 1
    toggles.nth(1).click()
    page.wait_for_selector("text=deep")
    result.revoke()


def test_graph_and_timeline(stack, user, visitor):
    tree = TaskTree("drawn")
    top = tree.add_task(echo, ["top"])
    for number in range(30):
        top.add_task(echo, [number])
    top.gather(echo, [top.outputs])
    result = tree.apply_async()
    result.wait(PATIENCE)
    page = visitor.log_in().page
    visitor.go(run_page(result))
    page.get_by_role("tab", name="Tree").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#graph svg")
    boxes = page.locator("#graph .tasktree-box")
    assert boxes.count() == 1 + 1 + 6 + 1 + 1
    rest = page.locator("#graph .tasktree-box-bundle")
    assert "24 more" in rest.text_content()
    rest.click()
    page.wait_for_selector("#graph .tasktree-box-bundle[data-shown='26']")
    assert "4 more" in rest.text_content()
    # By keyboard; what has the focus keeps it.
    rest.focus()
    assert page.evaluate("document.activeElement.dataset.open") == result.children[0].id.hex
    page.keyboard.press("Enter")
    page.wait_for_selector("#graph .tasktree-box-bundle", state="detached")
    assert boxes.count() == 1 + 1 + 30 + 1
    before = page.get_attribute("#graph svg", "viewBox")
    page.click("[data-zoom=in]")
    assert page.get_attribute("#graph svg", "viewBox") != before
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Timeline").click()
    page.wait_for_selector("#timeline svg")
    assert page.locator("#timeline rect").count() == 32
    assert stack.hostname in page.text_content("#timeline")
    assert page.url.endswith("#timeline")
    page.locator("#timeline a").first.click()
    page.wait_for_url("**/noderun/**")


def test_without_a_permission_there_is_neither_button_nor_page(stack, staff, visitor):
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
        reverse("admin:django_tasktree_noderun_control", args=[node.id, "skip"]),
    ]


def serious_faults(page):
    from axe_playwright_python.sync_playwright import Axe

    # Without fetching style sheets anew, whose imports it would look for beside the page.
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"], "preload": False}
    found = Axe().run(page, context="#content", options=options)
    return [
        (fault["id"], [node["html"][:120] for node in fault["nodes"][:2]])
        for fault in found.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(stack, user, visitor, scheme):
    tree = TaskTree("looked at")
    top = tree.add_task(echo, ["top"])
    for _ in range(3):
        top.add_task(echo, ["x"])
    top.add_task(fail, ["no luck"])
    result = tree.apply_async()
    result.wait(PATIENCE)
    page = visitor.log_in().page
    page.emulate_media(color_scheme=scheme)
    faults = []
    for address in addresses(result):
        visitor.go(address)
        if "#" in address:
            page.wait_for_selector(f"{address[address.index('#') :]} svg")
        faults += [(address, *fault) for fault in serious_faults(page)]
    assert faults == []
    # A check that can fail.
    page.evaluate("document.querySelector('#content').append(document.createElement('img'))")
    assert "image-alt" in {name for name, _ in serious_faults(page)}


def test_pages_of_a_narrow_screen_do_not_scroll_sideways(stack, user, visitor):
    result = wide(20)
    page = visitor.log_in().page
    page.set_viewport_size({"width": 400, "height": 800})
    for address in addresses(result)[:-1]:
        visitor.go(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        # The stock lists scroll within themselves.
        assert width <= 400, (address, width)
    result.revoke()


def test_the_order_of_headings(stack, user, visitor):
    """No level is left out."""
    result = wide(3)
    page = visitor.log_in().page
    visitor.go(run_page(result))
    levels = page.evaluate(
        "[...document.querySelectorAll('#content h1, #content h2, #content h3')].map(h => h.tagName[1])"
    )
    assert all(int(after) - int(before) <= 1 for before, after in pairwise(levels))
    result.revoke()


def changing(page, pattern, change):
    """Let each answer to the page's looks differ from the one before."""
    count = iter(range(1, 10_000))

    def answer(route):
        response = route.fetch(headers={**route.request.headers, "if-none-match": ""})
        body = change(response.json(), next(count))
        route.fulfill(status=200, json=body, headers={"ETag": f'"{next(count)}"'})

    page.route(pattern, answer)


def test_a_refresh_changes_only_what_has_changed(stack, user, visitor, tmp_path):
    """What is being pressed, selected or focused stays, while counts, errors and times change around it."""
    tree = TaskTree("watched")
    tree.add_task(wait_for_file, [str(tmp_path / "go on")])
    tree.add_task(fail, ["no luck"])
    result = tree.apply_async()
    page = visitor.log_in().page

    def change(answer, number):
        return {**answer, "html": answer["html"].replace("1 / 2", f"{number} / 2")}

    changing(page, "**/live/**", change)
    visitor.go(run_page(result))
    page.evaluate("""
        window.looks = 0;
        document.addEventListener("tasktree:changed", () => (window.looks += 1));
        const id = document.querySelector(".tasktree-facts .tasktree-id");
        getSelection().selectAllChildren(id);
        window.button = document.querySelector(".tasktree-buttons [data-key=pause]");
    """)
    box = page.locator(".tasktree-buttons [data-key=pause]").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.wait_for_function("window.looks >= 2")
    assert page.evaluate("getSelection().toString()") == str(result.id)
    assert page.evaluate("window.button.isConnected")
    # A look comes between pressing the button and letting it go.
    page.mouse.down()
    page.wait_for_function("window.looks >= 3")
    page.mouse.up()
    page.wait_for_url("**/control/pause/")
    (tmp_path / "go on").touch()
    result.wait(PATIENCE)


def test_durations_are_counted_in_the_browser(stack, user, visitor, tmp_path):
    tree = TaskTree("watched")
    tree.add_task(wait_for_file, [str(tmp_path / "go on")])
    result = tree.apply_async()
    page = visitor.log_in().page
    # The server says nothing at all.
    page.route("**/live/**", lambda route: route.abort())
    visitor.go(run_page(result))
    ticking = page.locator(".tasktree-facts [data-tasktree-since]")
    before = ticking.inner_text()
    page.wait_for_function("text => document.querySelector('[data-tasktree-since]').textContent !== text", arg=before)
    # That the server is away is said, and the time stands still.
    page.wait_for_selector("[data-tasktree-stale] >> text=The server does not answer")
    page.unroute("**/live/**")
    page.wait_for_selector("[data-tasktree-stale]", state="hidden")
    (tmp_path / "go on").touch()
    wait_for_state(page, "success")
    assert page.locator("[data-tasktree-since]").count() == 0
    visitor.troubles.clear()


@pytest.mark.parametrize("path", ["run", "list", "index"])
def test_whoever_is_logged_out_is_told(stack, user, visitor, path, tmp_path):
    tree = TaskTree("watched")
    tree.add_task(wait_for_file, [str(tmp_path / "go on")])
    result = tree.apply_async()
    page = visitor.log_in().page
    visitor.go({"run": run_page(result), "list": RUNS, "index": "/admin/django_tasktree/"}[path])
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("[data-tasktree-stale] >> text=You are logged out")
    (tmp_path / "go on").touch()
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


def test_places_in_graph_and_timeline_have_addresses(stack, user, visitor, monkeypatch):
    monkeypatch.setattr("django_tasktree.admin.timeline.PAGE", 10)
    tree = TaskTree("drawn")
    deep = tree.add_task(echo, ["top"])
    chain = [deep]
    for number in range(24):
        deep = deep.add_task(echo, [number])
        chain.append(deep)
    result = tree.apply_async()
    result.wait(PATIENCE)
    page = visitor.log_in().page
    visitor.go(run_page(result, "#graph"))
    page.wait_for_selector("#graph .tasktree-into")
    page.focus("#graph .tasktree-into")
    page.keyboard.press("Enter")
    inner = f"#graph:{result[chain[7]].id.hex}"
    page.wait_for_selector(f"#graph [data-key='into {result[chain[7]].id.hex}']")
    assert page.url.endswith(inner)
    page.go_back()
    page.wait_for_selector("#graph [data-key='box " + result.id.hex + "']")
    visitor.go("/admin/")
    visitor.go(run_page(result, inner))
    page.wait_for_selector(f"#graph [data-key='into {result[chain[7]].id.hex}']")
    page.get_by_role("tab", name="Timeline").click()
    page.wait_for_selector("#timeline svg")
    page.fill("#timeline input", "3")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#timeline rect').length === 5")
    assert page.url.endswith("#timeline:3")
    assert "of 3" in page.inner_text("#timeline nav")


def test_the_graph_of_a_big_run_can_be_read(stack, user, visitor):
    """No text below 9 pixels; the map moves it; what is dragged is not opened."""
    tree = TaskTree("big")
    for _ in range(5):
        top = tree.add_task(echo, countdown=600)
        for _ in range(5):
            node = top.add_task(echo)
            for _ in range(5):
                node.add_task(echo)
    result = tree.apply_async()
    page = visitor.log_in().page
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        visitor.go("/admin/")
        visitor.go(run_page(result, "#graph"))
        page.wait_for_selector("#graph .tasktree-box")
        for _ in range(12):
            page.click("[data-zoom=out]")
        smallest = page.evaluate("""
            Math.min(...[...document.querySelectorAll("#graph .tasktree-graph > svg:first-child text")].map(
                text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))
        """)
        assert smallest >= 9
        assert page.is_visible(".tasktree-map")
        before = page.get_attribute("#graph svg", "viewBox")
        page.click(".tasktree-map", position={"x": 100, "y": 100})
        assert page.get_attribute("#graph svg", "viewBox") != before
        page.click("[data-zoom=fit]")
        address = page.url
        # The keyboard brings a box into sight.
        page.focus("#graph a.tasktree-box")
        box = page.locator("#graph a.tasktree-box").first.bounding_box()
        page.mouse.move(box["x"] + 30, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 60, box["y"] + 30, steps=4)
        page.mouse.up()
        assert page.url == address
        page.locator("#graph a.tasktree-box").first.click()
        page.wait_for_url("**/noderun/**")
    result.revoke()


@pytest.mark.parametrize("width", [1280, 400])
def test_long_names_and_arguments_give_way(stack, user, visitor, width):
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
        # State and duration are in sight beside it.
        assert first.locator(".tasktree-cell-duration").bounding_box()["x"] < width
    result.revoke()
