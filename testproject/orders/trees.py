"""The tree: read each file of a day, store its orders in lists of fifty, and write a report if somebody approves."""

from datetime import date, timedelta

from django_tasktree import ITEM, TaskTree, register_tree
from testproject.orders.forms import ApprovalForm
from testproject.orders.tasks import add_up, list_files, read_file, store, totals_of, write_report


@register_tree
def orders_report(day: date, approved_by: str) -> TaskTree:
    """Write the report about the imported orders of a day."""
    tree = TaskTree(f"report of {day}")
    totals = tree.add_task(totals_of, [day], label="totals")
    report = totals.add_task(write_report, [day, totals.output, approved_by], label="report")
    tree.returns(report.output)
    return tree


@register_tree
def orders(day: date = date(2026, 1, 31), samples: int = 30) -> TaskTree:
    """Import the orders of a day from CSV files, and write a report once somebody has approved the totals.

    If there are no files of the day below MEDIA_ROOT/orders, samples are written. Up to 10% of the files may be
    unreadable.
    """
    tree = TaskTree(f"orders of {day}")
    found = tree.add_task(list_files, [day, samples], label="files")
    read = found.map(read_file, over=found.output, args=[day, ITEM], tolerate="10%", label="read")
    stored = read.each.map(store, over=read.each.output, args=[day, ITEM], batch=50, label="stored")
    read.each.gather(add_up, [stored.outputs], label="subtotal")
    total = read.gather(add_up, [read.subtree_outputs], label="total")
    approved = total.wait_for(
        "approved", title=f"Approve the totals of {day}?", form=ApprovalForm, timeout=timedelta(days=3)
    )
    report = approved.add_run(orders_report, {"day": day, "approved_by": approved.output["by"]}, label="report")
    tree.returns(report.output)
    return tree
