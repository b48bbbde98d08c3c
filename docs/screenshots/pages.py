"""The pages of the screenshots, and the code that takes them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

from django_tasktree.models import NodeRun
from django_tasktree.views import progress_link

#: The options of the browser for each screenshot of a page, by the suffix of its file name.
LOOKS: dict[str, dict[str, Any]] = {
    "": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "-dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "-narrow": {"color_scheme": "light", "viewport": {"width": 420, "height": 800}, "has_touch": True},
}
#: The maximum height of a screenshot in pixels.
_MAX_HEIGHT = 1500


def take(address: str, shown: dict[str, Any], target: Path, chromium: str, wanted: list[str]) -> None:
    """Take the screenshots of all pages, or of some.

    Args:
        address: the address of the server.
        shown: the runs to show, as ``scenes.make`` returns them.
        target: the folder for the files.
        chromium: the path of the browser.
        wanted: the names of pages; an empty list means all.
    """
    pages = {name: page for name, page in pages_of(shown).items() if not wanted or name in wanted}
    cookie = session_cookie(address)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for suffix, look in LOOKS.items():
            context = browser.new_context(base_url=address, locale="en-GB", timezone_id="UTC", **look)
            context.add_cookies([cookie])
            _take_all(context, pages, target, suffix)
            context.close()
        browser.close()


def _take_all(context: BrowserContext, pages: Any, target: Path, suffix: str) -> None:
    page = context.new_page()
    for name, (path, prepare) in pages.items():
        answer = page.goto(path)
        if answer is None or not answer.ok:
            raise RuntimeError(f"{name}: {path} answers {answer and answer.status}")
        page.wait_for_timeout(300)
        if prepare is not None:
            prepare(page)
            page.wait_for_timeout(400)
        _save(page.screenshot(full_page=True), target / f"{name}{suffix}.png")


def session_cookie(address: str) -> Any:
    """Return a session cookie. Each theme of the admin has a different login form, so none is used."""
    client = Client()
    client.force_login(User.objects.get(username="demo"))
    return {"name": settings.SESSION_COOKIE_NAME, "value": client.session.session_key, "url": address}


def _save(picture: bytes, target: Path) -> None:
    """Store a screenshot with a palette of 256 colours: a third of the size, without a visible difference."""
    with Image.open(BytesIO(picture)) as image:
        cut = image.convert("RGB").crop((0, 0, image.width, min(image.height, _MAX_HEIGHT)))
        cut.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(target, optimize=True)


def pages_of(shown: dict[str, Any]) -> dict[str, tuple[str, Callable[[Page], Any] | None]]:
    """Return the path of each page, and a function to call before the screenshot (or None), by the page's name."""
    failed, report, running = (
        reverse("admin:django_tasktree_treerun_change", args=[shown[name].id])
        for name in ("failed", "report", "running")
    )
    node = NodeRun.objects.filter(run_id=shown["failed"].id, state="FAILURE").first()
    sent = shown["report"]["shops/orders/report/approved/mail"].sub_run
    approval = shown["waiting"]["shops/orders/report/approved"]
    return {
        "dashboard": ("/admin/django_tasktree/", None),
        "runs": (reverse("admin:django_tasktree_treerun_changelist"), None),
        "run-tree": (running, None),
        "run-failed": (failed, None),
        "run-graph": (report, lambda page: page.click("#graph-tab")),
        "run-timeline": (report, lambda page: page.click("#timeline-tab")),
        "node": (reverse("admin:django_tasktree_noderun_change", args=[node.id]), None),
        "map": (
            reverse("admin:django_tasktree_noderun_change", args=[shown["report"]["shops/orders"].id]),
            None,
        ),
        "sub-run": (reverse("admin:django_tasktree_treerun_change", args=[sent.id]), None),
        "waiting": (reverse("admin:django_tasktree_noderun_waiting"), None),
        "answer": (reverse("admin:django_tasktree_noderun_control", args=[approval.id, "complete"]), None),
        "nodes": (reverse("admin:django_tasktree_noderun_changelist") + f"?run={shown['report'].id}", None),
        "launch": (reverse("admin:django_tasktree_treerun_launch"), None),
        "launch-form": (reverse("admin:django_tasktree_treerun_launch_definition", args=["nightly-report"]), None),
        "compose": (reverse("admin:django_tasktree_treerun_compose_draft", args=[shown["small_draft"].id]), None),
        "confirm": (reverse("admin:django_tasktree_treerun_control", args=[shown["failed"].id, "retry"]), None),
        "album": (reverse("thumbnails:album", args=[shown["album"].id]), None),
        "album-running": (reverse("thumbnails:album", args=[shown["album_running"].id]), None),
        "progress": (progress_link(shown["running"]), None),
    }
