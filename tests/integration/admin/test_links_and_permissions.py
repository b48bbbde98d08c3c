"""Pages do not link to what their user may not view."""

import re

import pytest
from django.urls import reverse

from tests.integration.admin.control import launch
from tests.integration.admin.pages import NODES, change_page
from tests.sample.tasks import fail

pytestmark = pytest.mark.django_db(transaction=True)

LINK = re.compile(r'href="(/admin/[^"#]*)')


@pytest.mark.parametrize(
    "permissions",
    [
        ["view_noderun"],
        ["launch_treerun"],
        ["view_treerun"],
        ["view_treerun", "view_noderun"],
        ["view_noderun", "control_treerun"],
        ["view_treerun", "launch_treerun", "compose_treerun"],
    ],
    ids="+".join,
)
def test_every_link_can_be_opened(world, staff, permissions):
    result = launch(task=fail)
    world.deliver_all("w")
    below = result.children[0].children[0]
    client = staff(*permissions)
    launch_page = reverse("admin:django_tasktree_treerun_launch")
    pages = [NODES, change_page(result), change_page(below, "noderun"), launch_page]
    shown = [page for page in pages if client.get(page).status_code == 200]
    assert shown
    links = {link.replace("&amp;", "&") for page in shown for link in LINK.findall(client.get(page).content.decode())}
    links -= {reverse("admin:logout")}
    assert {link: client.get(link).status_code for link in links if client.get(link).status_code >= 400} == {}


def test_a_run_is_named_but_not_linked_without_permission_to_view_it(world, staff):
    result = launch("nightly")
    node = result.children[0]
    client = staff("view_noderun")
    for page in (NODES, change_page(node, "noderun")):
        text = client.get(page).content.decode()
        assert "nightly" in text
        assert str(result.id) not in "".join(LINK.findall(text))
