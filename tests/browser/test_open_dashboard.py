"""The open dashboard counts how long nodes have waited, without responses from the server."""

import pytest

from django_tasktree import TaskTree
from tests import simulation
from tests.patience import until
from tests.sample.tasks import echo

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_browser_counts_how_long_nodes_have_waited(app, user, visitor):
    with simulation.simulated(app, "open_dashboard"):
        tree = TaskTree("waits")
        tree.add_task(echo)
        tree.apply_async()
        page = visitor.log_in().page
        page.route("**/dashboard/**", lambda route: route.abort())
        visitor.go("/admin/django_tasktree/")
        waited = page.locator("section:has(#dashboard-waiting) [data-tasktree-since]")
        before = waited.inner_text()
        until(lambda: waited.inner_text() != before)
    visitor.errors.clear()
