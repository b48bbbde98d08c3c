"""Every page in the stock admin and in common themes: light, dark, and on a narrow screen."""

from typing import Any

import pytest

from tests.browser import themed_site

pytestmark = [pytest.mark.browser]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 400, "height": 800}, "has_touch": True},
}
#: Grappelli does not support narrow screens.
NOT_NARROW = {"grappelli"}
#: A script that returns the problems that make a page hard to use, as texts.
PROBLEMS = """
() => {
    const problems = [];
    const shown = (element) => element.getClientRects().length > 0;
    const name = (element) => element.tagName + " " + element.textContent.trim().slice(0, 40);
    const all = (selector) => Array.from(document.querySelectorAll(selector)).filter(shown);

    for (const badge of all(".tasktree-state")) {
        if (getComputedStyle(badge).backgroundColor === "rgba(0, 0, 0, 0)") {
            problems.push("no colour: " + name(badge));
        }
    }
    const main = document.querySelector("#content-main, #tasktree-dashboard, main, #grp-content");
    const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const size = parseFloat(getComputedStyle(element).fontSize);
        const drawing = element.closest("svg");
        const scale = drawing && drawing.getScreenCTM() ? drawing.getScreenCTM().a : 1;
        // Text without any size is for screen readers.
        if (walker.currentNode.data.trim() && shown(element) && size > 0 && size * scale < 9) {
            problems.push(`text of ${(size * scale).toFixed(1)} px: ` + name(element));
        }
    }
    const parts = "#content-main h1, .tasktree-card > h2, [role=tab], .tasktree-buttons a, .submit-row :is(a, input)";
    for (const element of all(parts)) {
        element.scrollIntoView({ block: "center", behavior: "instant" });
        const box = element.getBoundingClientRect();
        const hit = document.elementFromPoint(box.x + Math.min(box.width, 40) / 2, box.y + box.height / 2);
        if (!hit || !(element.contains(hit) || hit.contains(element))) {
            problems.push(`covered: ${name(element)} by ${hit && hit.outerHTML.slice(0, 80)}`);
        }
        if (element.matches("[role=tab], .tasktree-buttons a") && (box.width < 40 || box.height < 24)) {
            problems.push("crushed: " + name(element));
        }
    }
    for (const crumbs of all(".breadcrumbs, .breadcrumb, #grp-breadcrumbs")) {
        if (crumbs.getBoundingClientRect().height > 80) {
            problems.push("breadcrumbs are a list: " + name(crumbs));
        }
    }
    return problems;
}
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Return the folder of the scenes, and the paths of their pages."""
    folder = tmp_path_factory.mktemp("scenes")
    return folder, themed_site.make_scenes(folder)


@pytest.fixture(scope="module", params=themed_site.THEMES, ids=lambda theme: theme or "stock")
def site(request, scenes, tmp_path_factory):
    """Yield a server in one theme."""
    if request.param:
        pytest.importorskip(request.param)
    folder, made = scenes
    with themed_site.serving(made, folder, tmp_path_factory.mktemp("site"), request.param) as site:
        site.theme = request.param
        yield site


@pytest.fixture
def open_page(browser, site):
    """Return a function that opens a page with a look; errors in the app's scripts fail the test."""
    contexts, errors = [], []

    def open_in(look):
        context = browser.new_context(base_url=site.url, **LOOKS[look])
        context.add_cookies([site.cookie])
        # Themes fetch fonts from other servers.
        context.route(lambda url: not url.startswith(site.url), lambda route: route.abort())
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append((page.url, str(error))))
        return page

    yield open_in
    for context in contexts:
        context.close()
    assert errors == []


@pytest.mark.parametrize("look", LOOKS)
def test_each_page_is_usable(site, open_page, look):
    page = open_page(look)
    problems = []
    for name, path in site.pages.items():
        answer = page.goto(path)
        assert answer.ok, (name, answer.status)
        if name in ("run-graph", "run-timeline"):
            page.click(f"#{name.removeprefix('run-')}-tab")
            page.wait_for_selector(f"#{name.removeprefix('run-')} svg")
        problems += [(name, problem) for problem in page.evaluate(PROBLEMS)]
        width = page.evaluate("document.documentElement.scrollWidth")
        if look == "narrow" and site.theme not in NOT_NARROW and width > 400:
            problems.append((name, f"scrolls sideways: {width} px"))
    assert not problems, "\n".join(f"{name}: {problem}" for name, problem in problems)


def test_a_run_is_retried(site, open_page):
    page = open_page("light")
    page.goto(site.pages["run-failed"])
    page.click(".tasktree-buttons >> text=Retry…")
    page.wait_for_url(site.pages["confirm"])
    assert "2 nodes run again" in page.inner_text("#content-main")
    page.click("text=No, take me back")
    page.wait_for_url(site.pages["run-failed"])
    page.click(".tasktree-buttons >> text=Retry…")
    page.wait_for_url(site.pages["confirm"])
    page.click("input[value=Retry]")
    page.wait_for_selector("#tasktree-live .tasktree-head .tasktree-state-started")
