"""Which pages there are, and how their pictures are taken."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from django.urls import reverse
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from django_tasktree.models import NodeRun
from django_tasktree.views import progress_link
from docs.screenshots import scenes

#: How each page is looked at.
LOOKS: dict[str, dict[str, Any]] = {
    "": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "-dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "-narrow": {"color_scheme": "light", "viewport": {"width": 420, "height": 800}, "has_touch": True},
}
#: Longer pages are cut here.
_LONGEST = 1500


def take(address: str, shown: dict[str, Any], target: Path, chromium: str, wanted: list[str]) -> None:
    """Take the pictures of all pages, or of those whose names are wanted."""
    pages = {name: page for name, page in _pages(shown).items() if not wanted or name in wanted}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for suffix, look in LOOKS.items():
            _take_all(browser, address, pages, target, suffix, look)
        browser.close()


def _take_all(browser: Browser, address: str, pages: Any, target: Path, suffix: str, look: Any) -> None:
    context = browser.new_context(base_url=address, locale="en-GB", timezone_id="UTC", **look)
    page = context.new_page()
    _log_in(page)
    for name, (path, prepare) in pages.items():
        answer = page.goto(path)
        if answer is None or not answer.ok:
            raise RuntimeError(f"{name}: {path} answers {answer and answer.status}")
        page.wait_for_timeout(300)
        if prepare is not None:
            prepare(page)
            page.wait_for_timeout(400)
        _save(page.screenshot(full_page=True), target / f"{name}{suffix}.png")
    context.close()


def _log_in(page: Page) -> None:
    page.goto("/admin/login/")
    page.fill("#id_username", "demo")
    page.fill("#id_password", scenes.PASSWORD)
    page.click("input[type=submit]")


def _save(picture: bytes, target: Path) -> None:
    """Write it with a palette: a third of the size, and nobody sees a difference."""
    with Image.open(BytesIO(picture)) as image:
        cut = image.convert("RGB").crop((0, 0, image.width, min(image.height, _LONGEST)))
        cut.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(target, optimize=True)


def _pages(shown: dict[str, Any]) -> dict[str, tuple[str, Callable[[Page], Any] | None]]:
    failed, report, running = (
        reverse("admin:django_tasktree_treerun_change", args=[shown[name].id])
        for name in ("failed", "report", "running")
    )
    node = NodeRun.objects.filter(run_id=shown["failed"].id, state="FAILURE").first()
    return {
        "dashboard": ("/admin/django_tasktree/", None),
        "runs": (reverse("admin:django_tasktree_treerun_changelist"), None),
        "run-tree": (running, None),
        "run-failed": (failed, None),
        "run-graph": (report, lambda page: page.click("#graph-tab")),
        "run-timeline": (report, lambda page: page.click("#timeline-tab")),
        "node": (reverse("admin:django_tasktree_noderun_change", args=[node.id]), None),
        "nodes": (reverse("admin:django_tasktree_noderun_changelist") + f"?run={shown['report'].id}", None),
        "launch": (reverse("admin:django_tasktree_treerun_launch"), None),
        "launch-form": (reverse("admin:django_tasktree_treerun_launch_definition", args=["nightly-report"]), None),
        "compose": (reverse("admin:django_tasktree_treerun_compose_draft", args=[shown["small_draft"].id]), None),
        "confirm": (reverse("admin:django_tasktree_treerun_control", args=[shown["failed"].id, "retry"]), None),
        "album": (reverse("thumbnails:album", args=[shown["album"].id]), None),
        "album-running": (reverse("thumbnails:album", args=[shown["album_running"].id]), None),
        "progress": (progress_link(shown["running"]), None),
    }
