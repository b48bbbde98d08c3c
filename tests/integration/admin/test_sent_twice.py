"""A form that is sent twice, as by a double click, launches once."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import IntegrityError, connections
from django.test import Client
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.pages import control, submitted_once
from django_tasktree.models import TreeRun
from django_tasktree.testing import registered
from tests.integration.admin.control import ask, bulk, control_page, launch, messages_of
from tests.integration.admin.pages import RUNS, change_page
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = reverse("admin:django_tasktree_treerun_launch_definition", args=["numbered"])
ALREADY_SENT = "This form was sent before, so nothing new was launched."


def numbered(n: int) -> TaskTree:
    tree = TaskTree("numbered")
    tree.add_task(echo, [n])
    return tree


@pytest.fixture
def launch_page(definitions, world):
    """Return the address of the form of the definition."""
    return PAGE


@pytest.fixture
def definitions():
    """Register only the definition of this file."""
    with registered(numbered, only=True):
        yield


def token(response):
    """Return the token that makes the form single-use."""
    return re.search(r'name="once" value="(\w+)"', response.content.decode())[1]  # type: ignore[index]


def test_a_copy_is_launched_once(world, admin_client):
    result = launch()
    page = control_page(result, "copy")
    shown = token(admin_client.get(page))
    first, second = (ask(admin_client, page, once=shown) for _ in range(2))
    copied = TreeRun.objects.get(copy_of=result.id)
    assert first.redirect_chain == second.redirect_chain == [(change_page(copied), 302)]
    assert (messages_of(first), messages_of(second)) == (["Launch again: tree."], [ALREADY_SENT])
    assert LogEntry.objects.count() == 1
    ask(admin_client, page, once=token(admin_client.get(page)))
    assert TreeRun.objects.filter(copy_of=result.id).count() == 2


def test_copies_of_several_runs_are_launched_once(world, admin_client):
    results = [launch() for _ in range(2)]
    shown = token(bulk(admin_client, "copy", results))
    for _ in range(2):
        bulk(admin_client, "copy", results, confirmed="yes", once=shown)
    assert {run.copy_of_id for run in TreeRun.objects.exclude(copy_of=None)} == {result.id for result in results}
    assert TreeRun.objects.count() == 4


def test_a_definition_is_launched_once(admin_client, launch_page):
    data = {"param-n": "1", "once": token(admin_client.get(launch_page))}
    first, second = (admin_client.post(launch_page, data, follow=True) for _ in range(2))
    run = TreeRun.objects.get()
    assert run.key is None
    assert first.redirect_chain == second.redirect_chain == [(change_page(run), 302)]
    assert messages_of(second) == [ALREADY_SENT]


def test_concurrent_requests_launch_once(database, eager, definitions):
    user = User.objects.create_superuser("root")
    clients = [Client() for _ in range(4)]
    for client in clients:
        client.force_login(user)
    data = {"param-n": "1", "once": token(clients[0].get(PAGE))}
    barrier = Barrier(len(clients))

    def send(client):
        barrier.wait()
        try:
            return client.post(PAGE, data).url
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(clients)) as threads:
        urls = set(threads.map(send, clients))
    assert urls == {change_page(TreeRun.objects.get())}


def test_the_form_with_another_parameter_launches_another_run(admin_client, launch_page):
    shown = token(admin_client.get(launch_page))
    for number in "1", "2":
        admin_client.post(launch_page, {"param-n": number, "once": shown})
    assert {run.params["n"] for run in TreeRun.objects.all()} == {1, 2}


@pytest.mark.parametrize("shown", ["", "x", "00000000-0000-0000-0000-000000000000"])
def test_without_a_valid_token_each_request_launches(admin_client, launch_page, shown):
    for _ in range(2):
        admin_client.post(launch_page, {"param-n": "1", "once": shown})
    assert TreeRun.objects.count() == 2


def test_another_request_commits_in_the_meantime(admin_client, launch_page, monkeypatch):
    data = {"param-n": "1", "once": token(admin_client.get(launch_page))}
    admin_client.post(launch_page, data, follow=True)
    find, calls = submitted_once.find_run, []

    def find_late(run_id):
        calls.append(run_id)
        return find(run_id) if len(calls) > 1 else None

    monkeypatch.setattr(submitted_once, "find_run", find_late)
    assert messages_of(admin_client.post(launch_page, data, follow=True)) == [ALREADY_SENT]
    assert (len(calls), TreeRun.objects.count()) == (2, 1)


def test_other_errors_of_the_database_are_raised(world):
    def refuse():
        raise IntegrityError("of the project")

    with pytest.raises(IntegrityError, match="of the project"):
        submitted_once.launched_once(None, refuse)


def test_the_token_alone_does_not_determine_the_id_of_the_run(admin_client, launch_page):
    shown = token(admin_client.get(launch_page))
    admin_client.post(launch_page, {"param-n": "1", "once": shown})
    assert TreeRun.objects.get().id.hex[:16] == shown[:16]
    assert TreeRun.objects.get().id.hex != shown


def test_a_background_action_is_started_once(world, admin_client, monkeypatch):
    monkeypatch.setattr(control, "MAX_ROWS", 1)
    results = [launch() for _ in range(2)]
    shown = token(bulk(admin_client, "pause", results))
    first, second = (bulk(admin_client, "pause", results, confirmed="yes", once=shown) for _ in range(2))
    run = TreeRun.objects.get(name="Pause: 2 runs")
    assert first.redirect_chain == second.redirect_chain == [(change_page(run), 302)]
    assert messages_of(second) == [ALREADY_SENT]
    assert admin_client.get(RUNS).status_code == 200
