"""The admin and the views in other languages."""

import re

import pytest
from django.urls import reverse
from django.utils.translation import deactivate

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def back_to_english():
    """Deactivate the language that a request has set."""
    yield
    deactivate()


@pytest.fixture
def run(eager):
    """Return a run of many nodes, one of which failed."""
    tree = TaskTree("translated")
    tree.add_task(echo, ["one of many"])
    tree.add_task(fail, ["no luck"])
    run = tree.apply_async().run
    NodeRun.objects.bulk_create(
        NodeRun(run_id=run.id, task=echo.name, state="SUCCESS", settled=True, position=number + 2)
        for number in range(1233)
    )
    return run


def addresses(run):
    """Return the addresses of pages with texts, dates and numbers."""
    node = run.nodes.first()
    return [
        reverse("admin:django_tasktree_treerun_changelist"),
        reverse("admin:django_tasktree_treerun_change", args=[run.id]),
        reverse("admin:django_tasktree_treerun_control", args=[run.id, "delete"]),
        reverse("admin:django_tasktree_treerun_launch"),
        reverse("admin:django_tasktree_treerun_compose"),
        reverse("admin:django_tasktree_noderun_changelist"),
        reverse("admin:django_tasktree_noderun_change", args=[node.id]),
        reverse("admin:app_list", args=["django_tasktree"]),
        reverse("tasktree:progress", args=[run.id]),
    ]


WORDS = {
    "de": ["Läufe", "Fehlschlag", "1.235 / ", "fehlgeschlagen"],
    "es": ["Ejecuciones", "fallo", "fallido"],
    "fr": ["exécutions", "échec", "en échec"],
    "zh-hans": ["运行", "失败", "节点"],
}


@pytest.mark.parametrize("language", WORDS)
def test_pages_are_translated(admin_client, run, language):
    pages = ""
    for address in addresses(run):
        page = admin_client.get(address, headers={"Accept-Language": language})
        assert page.status_code == 200, address
        pages += page.content.decode()
    for word in WORDS[language]:
        assert word.lower() in pages.lower(), word
    assert not re.search(r">\s*(Nodes|Runs|Retry…|Launched by|failure|No parameters)\s*<", pages)


def test_dates_and_numbers_have_the_format_of_the_language(admin_client, run):
    address = reverse("admin:django_tasktree_treerun_change", args=[run.id])
    started = run.started_at
    for language, date, number in (
        ("de", "%d.%m.%Y", "1.235"),
        ("en", "%m/%d/%Y", "1,235"),
        ("fr", "%d/%m/%Y", "1\xa0235"),
    ):
        page = admin_client.get(address, headers={"Accept-Language": language}).content.decode()
        assert f"{started:{date}}" in page, language
        assert number in page.replace("\u202f", "\xa0"), language


def test_json_has_labels_for_people_and_states_for_programs(admin_client, run):
    address = reverse("tasktree:status", args=[run.id])
    status = admin_client.get(address, headers={"Accept-Language": "de"}).json()
    assert (status["state"], status["state_label"]) == ("FAILURE", "Fehlschlag")
    assert status["progress"]["text"] == "1.235 / 1.235, 1 fehlgeschlagen"
    assert status["progress"]["total"] == 1235
