"""Forms that launch and confirm are sent once, even if their buttons are clicked several times."""

import pytest
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import TreeRun
from tests.browser.admin_pages import run_page
from tests.sample.tasks import echo

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CONFIRM = "#content-main input[type=submit].default"


@pytest.fixture
def page(app, user, visitor):
    """Return the page of a user who is logged in."""
    return visitor.log_in().page


def confirmation():
    """Return the address of a page that confirms the copy of a draft."""
    tree = TaskTree("drafted")
    tree.add_task(echo)
    draft = tree.apply_async(draft=True)
    return reverse("admin:django_tasktree_treerun_control", args=[draft.id, "copy"])


def test_a_confirmation_is_sent_once(page, visitor):
    address = confirmation()
    visitor.go(address)
    page.evaluate("""
        window.sent = 0;
        addEventListener("submit", function (event) {
            window.sent += event.defaultPrevented ? 0 : 1;
            event.preventDefault();
        });
    """)
    page.dblclick(CONFIRM)
    page.wait_for_selector(f"{CONFIRM}:disabled")
    # Enter in a field submits the form without the button.
    page.evaluate("document.querySelector('#content-main form').requestSubmit()")
    assert page.evaluate("window.sent") == 1


def test_a_double_click_makes_one_copy(page, visitor):
    address = confirmation()
    visitor.go(address)
    page.dblclick(CONFIRM)
    page.wait_for_selector(CONFIRM, state="detached")
    assert TreeRun.objects.count() == 2


def test_the_form_can_be_sent_again_after_going_back(page, visitor):
    address = confirmation()
    visitor.go(address)
    page.evaluate("document.querySelector('#content-main form').requestSubmit()")
    page.wait_for_selector(CONFIRM, state="detached")
    page.go_back()
    page.wait_for_selector(f"{CONFIRM}:enabled")
    page.click(CONFIRM)
    page.wait_for_selector(CONFIRM, state="detached")
    assert TreeRun.objects.count() == 3


def test_the_name_of_the_clicked_button_is_sent(page, visitor):
    address = reverse("admin:django_tasktree_treerun_compose")
    visitor.go(address)
    page.fill("[name$=-name] >> nth=0", "first")
    page.fill("[name$=-task] >> nth=0", "tests.sample.tasks.echo")
    page.click("[name=_launch]")
    page.wait_for_url("**/change/**")
    run = TreeRun.objects.get()
    assert run.state != "DRAFT"
    assert run_page(run) in page.url
