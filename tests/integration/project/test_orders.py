"""The orders demo: maps, tolerated failures, an approval and a report."""

from datetime import date
from decimal import Decimal

import pytest

from django_tasktree.definitions.launch import launch_definition
from django_tasktree.exceptions import InvalidParameter
from django_tasktree.models import NodeRun
from testproject.orders import files
from testproject.orders.models import Order

pytestmark = [pytest.mark.usefixtures("eager", "media"), pytest.mark.django_db(transaction=True)]

DAY = date(2026, 1, 31)
APPROVAL = "files/read/total/approved"


@pytest.fixture
def media(tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path


def totals(names):
    """Return the number and the sum of the orders in some files."""
    lines = [line for name in names for line in files.read(DAY, name)]
    return len(lines), sum(Decimal(line["total"]) for line in lines)


def test_the_orders_are_imported_and_the_report_is_written_when_somebody_approves():
    run = launch_definition("orders", {"day": DAY, "samples": 16})
    readable = [name for name in files.names(DAY) if name != "shop-014.csv"]
    number, total = totals(readable)
    assert Order.objects.count() == number == 15 * 120
    assert run[APPROVAL].state == "WAITING"
    assert run["files/read/14"].state == "FAILURE"
    with pytest.raises(InvalidParameter):
        run[APPROVAL].complete({"note": "nobody"})
    run[APPROVAL].complete({"by": "Ada", "note": ""})
    assert run.state == "SUCCESS"
    value = run.value()
    assert (value["orders"], value["total"]) == (number, total)
    assert (files.directory(DAY) / "report.txt").read_text() == (
        f"2026-01-31: {number} orders, {total} in total; approved by Ada\n"
    )


def test_an_import_can_be_repeated():
    for _ in range(2):
        launch_definition("orders", {"day": DAY, "samples": 2})
    assert Order.objects.count() == 240


def test_too_many_unreadable_files():
    files.make_samples(DAY, 3)
    (files.directory(DAY) / "shop-001.csv").write_text("number,customer\n1,Ada\n")
    run = launch_definition("orders", {"day": DAY, "samples": 3})
    assert run.state == "FAILURE"
    assert not NodeRun.objects.filter(run_id=run.id, state="WAITING").exists()
    assert run["files/read"].state == "SUCCESS"
