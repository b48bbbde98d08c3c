"""The reason why a run was stopped is shown with the run."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from django_tasktree import TaskTree
from tests.integration.control.play import end, take
from tests.sample.tasks import echo

REASON = "and on_failure is 'stop'"


@pytest.fixture
def stopped(transactional_db):
    """Return a run that was stopped by a failed node."""
    tree = TaskTree(on_failure="stop")
    for name in ("a", "b", "c"):
        tree.add_task(echo, [name])
    result = tree.apply_async()
    end(take(result.id, "b"), "failure")
    assert (result.state, REASON in result.run.error_message) == ("FAILURE", True)
    return result


def _show(result, *options):
    """Return the output of ``tasktree show``."""
    out = StringIO()
    call_command("tasktree", "show", str(result.id), *options, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_command_line_shows_the_reason(stopped):
    assert REASON in " ".join(_show(stopped).split())
    document = json.loads(_show(stopped, "--format", "json"))
    assert REASON in document.get("run", document)["error"]


@pytest.mark.django_db(transaction=True)
def test_the_admin_shows_the_reason(stopped, admin_client):
    page = admin_client.get(reverse("admin:django_tasktree_treerun_change", args=[stopped.id]))
    assert "on_failure is &#x27;stop&#x27;" in page.content.decode()
