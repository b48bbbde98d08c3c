"""Pages outside the admin in a browser, with a worker: the thumbnails demo and the progress pages."""

import pytest
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import TreeRun
from django_tasktree.views import progress_link
from tests.patience import until
from tests.sample.tasks import echo, wait_for_file

pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("stack", ["sqlite-filesystem"], indirect=True),
]


def test_pictures_become_a_contact_sheet(stack, visitor):
    """The progress is updated for an anonymous user, too."""
    page = visitor.page
    visitor.go("/")
    page.fill("[name=samples]", "4")
    page.click("button")
    page.wait_for_selector("text=Contact sheet")
    run = TreeRun.objects.get()
    assert run.state == "SUCCESS"
    assert page.locator("img").count() == 1 + 4
    until(lambda: page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)"))
    assert "7 / 7" in page.inner_text(".tasktree-widget")


def test_progress_is_updated_without_a_reload(stack, user, visitor, tmp_path):
    tree = TaskTree("two steps")
    tree.add_task(wait_for_file, [str(tmp_path / "one")]).add_task(wait_for_file, [str(tmp_path / "two")])
    result = tree.apply_async(launched_by=user)
    page = visitor.page
    visitor.go(reverse("tasktree:progress", args=[result.id]))
    assert "/admin/login/" in page.url
    visitor.log_in()
    visitor.go(reverse("tasktree:progress", args=[result.id]))
    page.evaluate("window.notReloaded = true")
    page.evaluate("addEventListener('tasktree:ended', (event) => { window.ended = event.detail.state; })")
    bar = page.locator("[role=progressbar]")
    assert bar.get_attribute("aria-valuenow") == "0"
    (tmp_path / "one").touch()
    page.wait_for_selector("[role=progressbar][aria-valuenow='50']")
    (tmp_path / "two").touch()
    page.wait_for_selector(".tasktree-widget-success[data-tasktree-live]")
    assert (bar.get_attribute("aria-valuenow"), page.evaluate("window.ended")) == ("100", "SUCCESS")
    assert page.inner_text(".tasktree-widget-state") == "success"
    assert page.evaluate("window.notReloaded")


def test_axe_finds_no_serious_violation(stack, visitor):
    from axe_playwright_python.sync_playwright import Axe

    tree = TaskTree("accessible")
    tree.add_task(echo, countdown=600)
    result = tree.apply_async()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"], "preload": False}
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        for address in ("/", progress_link(result)):
            visitor.go(address)
            violations = Axe().run(visitor.page, options=options).response["violations"]
            serious = [each for each in violations if each["impact"] in ("serious", "critical")]
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious] == [], address
    result.revoke()
