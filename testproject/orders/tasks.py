"""The tasks of the import."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, Sum

from django_tasktree import task_with_callbacks
from testproject.orders import files
from testproject.orders.models import Order


@task_with_callbacks
def list_files(day: date, samples: int) -> list[str]:
    """Return the names of the files of a day; write samples if there are none."""
    if not files.names(day):
        files.make_samples(day, samples)
    return files.names(day)


@task_with_callbacks
def read_file(day: date, name: str) -> list[dict[str, str]]:
    """Return the orders of a file.

    Raises:
        ValueError: a line lacks a column.
    """
    return list(files.read(day, name))


@task_with_callbacks(atomic=True)
def store(day: date, orders: list[dict[str, str]]) -> dict[str, Any]:
    """Store some orders, in one transaction with the result of this task, and return their number and their sum.

    Orders that an earlier import has stored are replaced.
    """
    rows = [Order(day=day, **{**order, "total": Decimal(order["total"])}) for order in orders]
    Order.objects.filter(number__in=[row.number for row in rows]).delete()
    Order.objects.bulk_create(rows)
    return {"orders": len(rows), "total": sum((row.total for row in rows), Decimal())}


@task_with_callbacks
def add_up(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the number and the sum of the orders of some parts."""
    return {
        "orders": sum(part["orders"] for part in parts),
        "total": sum((part["total"] for part in parts), Decimal()),
    }


@task_with_callbacks
def totals_of(day: date) -> dict[str, Any]:
    """Return the number and the sum of the imported orders of a day."""
    found = Order.objects.filter(day=day).aggregate(orders=Count("*"), total=Sum("total"))
    return {"orders": found["orders"], "total": (found["total"] or Decimal()).quantize(Decimal("0.01"))}


@task_with_callbacks
def write_report(day: date, totals: dict[str, Any], approved_by: str) -> dict[str, Any]:
    """Write the report of a day, and return the totals with its path.

    Args:
        day: the day.
        totals: the number and the sum of its orders.
        approved_by: who has approved them.
    """
    path = files.directory(day) / "report.txt"
    text = f"{day}: {totals['orders']} orders, {totals['total']} in total; approved by {approved_by}\n"
    path.write_text(text, encoding="utf-8")
    return {**totals, "report": str(path)}
