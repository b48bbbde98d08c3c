"""The graph and the timeline of a run in a browser."""

import pytest

from django_tasktree import TaskTree
from tests.browser.admin_pages import run_page
from tests.patience import PATIENCE, until
from tests.sample.tasks import echo

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    # The test server and the worker must use the same database.
    pytest.mark.parametrize("stack", ["sqlite-filesystem"], indirect=True),
]


def test_graph_and_timeline_are_drawn(stack, user, visitor):
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
    # The keyboard opens it, too; the focus is kept.
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


def test_positions_in_graph_and_timeline_have_addresses(stack, user, visitor, monkeypatch):
    monkeypatch.setattr("django_tasktree.admin.tree.timeline.PAGE", 10)
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
    until(lambda: page.evaluate("document.querySelectorAll('#timeline rect').length === 5"))
    assert page.url.endswith("#timeline:3")
    assert "of 3" in page.inner_text("#timeline nav")
    # Beyond the last page, the last page is shown.
    page.fill("#timeline input", "9")
    page.keyboard.press("Enter")
    page.wait_for_url("**#timeline:9")
    until(lambda: page.evaluate("document.querySelectorAll('#timeline rect').length === 5"))


def test_the_graph_of_a_large_run_is_readable(stack, user, visitor):
    """Texts have at least 9 pixels, the map scrolls the graph, and dragging a box does not open it."""
    tree = TaskTree("large")
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
        # The focus scrolls a box into view.
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
