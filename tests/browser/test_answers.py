"""People answer wait nodes: in the admin, and through a signed link without an account."""

import os
from pathlib import Path
from typing import Literal

import pytest
from django.urls import reverse

from django_tasktree import TaskTree
from tests.sample.payloads import ApprovalForm

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BUTTON = "main button[type=submit]"


def picture(page, name):
    """Take a screenshot, if a directory for them is named."""
    if os.environ.get("TEST_SCREENSHOTS"):
        page.screenshot(path=str(Path(os.environ["TEST_SCREENSHOTS"]) / f"{name}.png"), full_page=True)


def test_in_the_admin(app, user, visitor):
    tree = TaskTree("report")
    tree.wait_for("approved", title="Publish it?", description="Now or never.\n\nReally.", form=ApprovalForm)
    run = tree.apply_async()
    page = visitor.log_in().page
    visitor.go(reverse("admin:django_tasktree_noderun_waiting"))
    page.click("text=Complete…")
    assert "What you enter becomes the result of this wait" in page.inner_text("#content-main")
    page.fill("[name=payload-by]", "7")
    page.fill("[name=payload-note]", "no")
    picture(page, "admin")
    page.click("#content-main input[type=submit].default")
    page.wait_for_selector(".errorlist >> text=Say more.")
    page.fill("[name=payload-note]", "fine")
    page.click("#content-main input[type=submit].default")
    page.wait_for_selector(".messagelist .success")
    assert run["approved"].get() == {"by": 7, "note": "fine"}
    assert run.history[-1].user == user


def test_through_a_link(app, visitor):
    from axe_playwright_python.sync_playwright import Axe

    tree = TaskTree("report")
    params = {"verdict": Literal["yes", "no"], "sure": (bool, False), "note": (str, "")}
    description = "The figures of all shops, and of nobody else.\n\nWithout an answer it is discarded after three days."
    tree.wait_for("approved", title="Publish the report of January?", description=description, params=params)
    run = tree.apply_async()
    address = run["approved"].completion_url()
    page = visitor.page
    page.set_viewport_size({"width": 420, "height": 800})
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        visitor.go(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
        page.evaluate("document.querySelector('form').noValidate = true")
        page.click(BUTTON)
        page.wait_for_selector(".errorlist")
        picture(page, f"link-{scheme}")
        violations = (
            Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"], "preload": False}).response["violations"]
        )
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == [], scheme
    page.select_option("[name=verdict]", label="yes")
    page.check("[name=sure]")
    page.click(BUTTON)
    page.wait_for_selector("text=Thank you")
    picture(page, "link-done")
    assert run["approved"].get() == {"verdict": "yes", "sure": True, "note": ""}
    assert visitor.go(address).status == 410
    # Chromium reports every answer that is not a success.
    visitor.errors = [error for error in visitor.errors if "410" not in error]
