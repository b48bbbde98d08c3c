"""The pages that launch a definition: the list of definitions, and the form of each."""

import re
from datetime import datetime, timezone
from uuid import UUID

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_tasktree.models import TreeRun
from django_tasktree.testing import registered
from tests.integration.admin.pages import LAUNCH, change_page, launch_page, shown

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("eager", "definitions")]


def form_data(user):
    """Return valid values for every field of the definition ``everything``."""
    return {
        "param-text": "hello",
        "param-number": "7",
        "param-ratio": "0.5",
        "param-price": "0.10",
        "param-sure": "on",
        "param-day": "2026-05-01",
        "param-start_0": "2026-05-01",
        "param-start_1": "12:30:00",
        "param-ident": str(UUID(int=7)),
        "param-where": "/tmp/x",
        "param-colour": "GREEN",
        "param-level": '"high"',
        "param-numbers": "1, 2",
        "param-user": str(user.pk),
        "param-users": f"{user.pk}",
        "key": "k-1",
    }


def test_every_kind_of_parameter_is_passed_on_and_the_launch_is_logged(admin_client, admin_user):
    response = admin_client.post(launch_page("everything"), form_data(admin_user))
    run = TreeRun.objects.get()
    assert response.status_code == 302
    assert response.url == change_page(run)
    assert run.params == {
        "text": "hello",
        "number": 7,
        "ratio": 0.5,
        "price": "0.10",
        "sure": True,
        "day": "2026-05-01",
        "start": datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc).isoformat(),
        "ident": str(UUID(int=7)),
        "where": "/tmp/x",
        "colour": "g",
        "level": "high",
        "numbers": [1, 2],
        "user": admin_user.pk,
        "note": None,
        "users": [admin_user.pk],
    }
    assert (run.definition, run.key, run.launched_by, run.state) == ("everything", "k-1", admin_user, "SUCCESS")
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id, entry.user) == (ADDITION, str(run.pk), admin_user)
    assert entry.get_change_message() == "Launched everything."
    assert "Launched “everything”." in admin_client.get(response.url).content.decode()


def test_the_same_key_redirects_to_the_existing_run(admin_client):
    for _ in range(2):
        response = admin_client.post(launch_page("picky"), {"param-year": "2026", "key": "k"})
    run = TreeRun.objects.get()
    assert response.url == change_page(run)
    assert LogEntry.objects.count() == 1
    assert "nothing new was launched" in admin_client.get(response.url).content.decode()


def test_a_key_of_another_run_is_reported_at_its_field(admin_client, caplog):
    admin_client.post(launch_page("picky"), {"param-year": "2026", "key": "k"})
    response = admin_client.post(launch_page("picky"), {"param-year": "2027", "key": "k"})
    assert response.context["errors"] == {
        "key": ["This key belongs to the run “picky”, which has another definition or other parameters."]
    }
    assert TreeRun.objects.count() == 1
    assert "could not be launched" not in caplog.text


def test_a_scheduled_run_shows_its_time(admin_client):
    times = {"eta_0": "2036-01-02", "eta_1": "03:04:05"}
    response = admin_client.post(launch_page("picky"), {"param-year": "2026", **times})
    page = admin_client.get(response.url).content.decode()
    assert "“picky” will be launched at 01/02/2036 3:04 a.m.; until then it is a draft." in page
    assert "<dt>Due</dt>" in page


def test_invalid_values_are_reported_at_their_fields_and_the_input_is_kept(admin_client, admin_user):
    invalid = {
        "param-number": "x",
        "param-numbers": "1,y",
        "param-colour": "BLUE",
        "param-user": "999",
        "param-day": "soon",
    }
    response = admin_client.post(launch_page("everything"), {**form_data(admin_user), **invalid})
    text = response.content.decode()
    assert response.status_code == 200
    assert set(response.context["errors"]) == set(invalid)
    assert "item 2: &#x27;y&#x27; is not a whole number" in text
    assert 'value="1,y"' in text
    assert 'value="hello"' in text
    assert not TreeRun.objects.exists()


def test_an_error_of_the_definition_is_shown_and_its_writes_are_rolled_back(admin_client):
    response = admin_client.post(launch_page("picky"), {"param-year": "1999"})
    assert response.status_code == 200
    assert "RuntimeError: no &lt;i&gt;computers&lt;/i&gt;" in response.content.decode()
    assert not TreeRun.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_launch_needs_a_csrf_token(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert "csrfmiddlewaretoken" in client.get(launch_page("picky")).content.decode()
    assert client.post(launch_page("picky"), {"param-year": "2026"}).status_code == 403
    assert not TreeRun.objects.exists()


def test_definitions_are_listed_and_escaped_and_an_empty_list_explains_how_to_register(admin_client):
    text = shown(admin_client, LAUNCH)
    assert "Take &lt;b&gt;every&lt;/b&gt; kind of parameter." in text
    assert "year: int = 2026" in text
    assert "Take &lt;b&gt;every" in shown(admin_client, launch_page("everything"))
    with registered(only=True):
        assert "@register_tree" in shown(admin_client, LAUNCH)


def rows_page(parameter):
    """Return the address that looks up rows for a parameter."""
    return reverse("admin:django_tasktree_treerun_launch_rows", args=["everything", parameter])


def test_rows_of_a_large_table_are_looked_up(admin_client, admin_user, monkeypatch):
    bertha = User.objects.create_user("bertha")
    assert "bertha</option>" in shown(admin_client, launch_page("everything"))
    monkeypatch.setattr("django_tasktree.admin.pages.launch_fields.MAX_ROWS", 0)
    form = shown(admin_client, launch_page("everything"))
    box = re.search(r'<select name="param-user"(.*?)</select>', form, re.DOTALL)[1]  # type: ignore[index]
    assert f'data-ajax--url="{rows_page("user")}"' in box
    assert "bertha" not in box
    found = admin_client.get(rows_page("user") + "?term=bert").json()
    assert found == {"results": [{"id": str(bertha.pk), "text": "bertha"}], "pagination": {"more": False}}
    # A form that is shown again keeps the selected row.
    again = admin_client.post(launch_page("everything"), {**form_data(admin_user), "key": "k" * 300}).content.decode()
    assert f'<option value="{admin_user.pk}" selected>' in again
    assert admin_client.post(launch_page("everything"), form_data(admin_user)).status_code == 302


def test_rows_are_named_by_key_without_permission_to_view_them(admin_user, staff, monkeypatch):
    monkeypatch.setattr("django_tasktree.admin.pages.launch_fields.MAX_ROWS", 0)
    client = staff("launch_treerun")
    assert '<input type="text" name="param-user"' in shown(client, launch_page("everything"))
    assert client.get(rows_page("user")).status_code == 404
    assert client.post(launch_page("everything"), form_data(admin_user)).status_code == 302


@pytest.mark.parametrize("parameter", ["year", "nothing"])
def test_only_parameters_that_name_rows_have_a_lookup(admin_client, parameter):
    assert admin_client.get(rows_page(parameter)).status_code == 404


def test_the_lookup_of_rows_needs_permission_to_launch(staff):
    assert staff("view_user").get(rows_page("user")).status_code == 403
