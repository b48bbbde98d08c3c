"""Who may open which page of the admin."""

import pytest
from django.urls import reverse

from django_tasktree.definitions.launch import prepare
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.admin.pages import LAUNCH, NODES, RUNS, change_page, launch_page, launch_roots, node_page, shown

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("eager", "definitions")]


def test_no_row_can_be_added_or_changed_and_no_single_node_deleted(admin_client):
    result = launch_roots([1])
    node = result.children[0]
    for page, name in [(change_page(result), "treerun"), (node_page(node), "noderun")]:
        assert admin_client.post(page, {"name": "other", "task": "other"}).status_code == 403
        assert admin_client.get(reverse(f"admin:django_tasktree_{name}_add")).status_code == 403
    assert (
        admin_client.post(reverse("admin:django_tasktree_noderun_delete", args=[node.id]), {"post": "yes"}).status_code
        == 403
    )
    assert NodeRun.objects.filter(id=node.id).exists()


def test_permission_to_view_runs_shows_neither_nodes_nor_the_launch_button(staff):
    client = staff("view_treerun")
    result = launch_roots(["secret"])
    text = shown(client, change_page(result))
    assert "secret" not in text
    assert NODES not in text
    assert "Launch tree" not in shown(client, RUNS)
    assert client.get(NODES).status_code == 403
    assert client.get(node_page(result.children[0])).status_code == 403
    for page in [LAUNCH, launch_page("picky")]:
        assert client.get(page).status_code == 403
        assert client.post(page, {"param-year": 2026}).status_code == 403
    assert TreeRun.objects.count() == 1


def test_permission_to_launch_does_not_show_runs(staff):
    client = staff("launch_treerun")
    assert client.get(RUNS).status_code == 403
    assert "picky" in shown(client, LAUNCH)
    response = client.post(launch_page("picky"), {"param-year": 2026})
    assert response.status_code == 302
    assert response.url == LAUNCH
    assert "Launched “picky”." in client.get(LAUNCH).content.decode()


def test_a_key_does_not_reveal_the_name_of_a_run_without_permission_to_view_runs(staff):
    prepare("picky", {"year": 2026}).apply_async(key="taken", name="secret merger")
    client = staff("launch_treerun")
    refused = client.post(launch_page("picky"), {"param-year": 2027, "key": "taken"})
    assert refused.context["errors"] == {
        "key": ["This key belongs to a run that has another definition or other parameters."]
    }
    again = client.post(launch_page("picky"), {"param-year": 2026, "key": "taken"}, follow=True)
    assert "A run with the key “taken” exists, so nothing new was launched." in again.content.decode()
    assert "secret" not in refused.content.decode() + again.content.decode()


def test_launching_needs_a_login_a_permission_and_a_known_definition(staff, client):
    assert client.get(LAUNCH).status_code == 302
    client = staff("view_treerun", "launch_treerun")
    assert f'href="{LAUNCH}"' in shown(client, RUNS)
    assert client.get(launch_page("no/such")).status_code == 404
