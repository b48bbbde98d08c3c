"""``tasktree purge`` lists the runs that it keeps because of rows of users' models."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.integration.control.users_rows import last_node, make_run
from tests.orders.models import Protecting, Unmanaged


def call_purge(*more):
    output = StringIO()
    call_command("tasktree", "purge", "--older-than", "30d", *more, stdout=output)
    return output.getvalue()


def test_it_lists_the_runs_that_are_kept(database, eager):
    run, _ = make_run(), make_run()
    Protecting.objects.create(node=last_node(run))
    assert call_purge().splitlines() == [
        "Deleted 1 run with 3 nodes.",
        f"Kept run {run.id}: it is referenced through the protected foreign key orders.Protecting.node",
    ]


def test_as_json(database, eager):
    run = make_run()
    Protecting.objects.create(run=run)
    assert list(json.loads(call_purge("--format", "json"))["kept"]) == [str(run.id)]


def test_a_run_that_cannot_be_deleted_is_an_error(database, eager):
    Unmanaged.objects.create(node=last_node(make_run()))
    with pytest.raises(CommandError, match=r"1 run could not be deleted"):
        call_purge()
