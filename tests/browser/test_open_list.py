"""An open list of runs is kept up to date, without disturbing clicks, selections and the focus."""

import pytest

from django_tasktree.models import TreeRun
from tests.browser.admin_pages import RUNS, wide
from tests.patience import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(app, user, visitor):
    """Return the page of a user who is logged in."""
    return visitor.log_in().page


def titles(page):
    """Return the titles of the rows of the list."""
    return page.locator("#result_list tbody .field-title").all_inner_texts()


def launch(name):
    """Launch a run with a name."""
    run = wide(1)
    TreeRun.objects.filter(id=run.id).update(name=name)
    return run


def box_of(run):
    """Return the selector of a run's checkbox."""
    return f"input[name=_selected_action][value='{run.id}']"


def test_runs_that_are_deleted_or_no_longer_match_are_removed(page, visitor):
    ended, _deleted, kept = launch("ended"), launch("deleted"), launch("kept")
    visitor.go(RUNS + "?state__exact=STARTED")
    assert titles(page) == ["kept", "deleted", "ended"]
    TreeRun.objects.filter(id=ended.id).update(state="SUCCESS")
    TreeRun.objects.filter(name="deleted").delete()
    page.wait_for_selector("#result_list >> text=ended", state="detached")
    assert titles(page) == ["kept"]
    until(lambda: "1 tree run" in page.inner_text(".tasktree-pagination, .paginator"))
    assert not page.is_visible("[data-tasktree-stale]")
    TreeRun.objects.filter(id=kept.id).delete()
    page.wait_for_selector(".tasktree-empty")


def test_rows_are_kept_in_the_order_of_the_list(page, visitor):
    first, _second = launch("a"), launch("b")
    visitor.go(RUNS + "?o=1")
    assert titles(page) == ["a", "b"]
    TreeRun.objects.filter(id=first.id).update(name="c")
    until(lambda: titles(page)[0] == "b")


def test_select_all_includes_rows_that_were_added_later(page, visitor):
    first, deleted = launch("first"), launch("deleted")
    visitor.go(RUNS)
    page.check(box_of(first))
    TreeRun.objects.filter(id=deleted.id).delete()
    second = launch("second")
    page.wait_for_selector(box_of(second))
    page.wait_for_selector(".action-counter >> text=1 of 2 selected")
    page.check("#action-toggle")
    assert page.is_checked(box_of(second))
    assert page.inner_text(".action-counter") == "2 of 2 selected"
    page.uncheck(box_of(second))
    assert page.inner_text(".action-counter") == "1 of 2 selected"
    assert not page.is_checked("#action-toggle")


def test_a_new_run_takes_neither_a_click_nor_the_focus(page, visitor):
    clicked = launch("clicked")
    visitor.go(RUNS + "?o=1")
    page.focus(box_of(clicked))
    box = page.locator(".field-title a").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.evaluate("window.link = document.querySelector('.field-title a')")
    later = launch("z")
    page.wait_for_selector(box_of(later))
    assert page.evaluate("document.activeElement.value") == str(clicked.id)
    page.mouse.down()
    last = launch("zz")
    page.wait_for_selector(box_of(last))
    page.mouse.up()
    page.wait_for_url(f"**/{clicked.id}/change/**")
