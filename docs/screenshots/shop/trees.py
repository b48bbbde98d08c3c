"""The definitions of the shop."""

from datetime import date, timedelta

from shop.forms import ApprovalForm
from shop.tasks import charge_card, list_shops, read_till, send_mail, ship, summarize, tell_customer, write_report

from django_tasktree import ITEM, TaskTree, register_tree


@register_tree
def mail_report(report: str, approved_by: str) -> TaskTree:
    """Mail a report to everybody who needs it."""
    tree = TaskTree(f"mail {report}")
    for receiver in ("boss@example.com", "stock@example.com"):
        tree.add_task(send_mail, [receiver, report, approved_by], label=receiver)
    return tree


@register_tree
def nightly_report(day: date, shops: int = 6) -> TaskTree:
    """Fetch the orders of each shop, sum them up, and mail a report once somebody has approved it."""
    tree = TaskTree("nightly report")
    found = tree.add_task(list_shops, [shops], label="shops")
    orders = found.map(read_till, over=found.output, args=[day.isoformat(), ITEM], tolerate="20%", label="orders")
    orders.each.add_task(summarize, [orders.each.output["orders"]], label="sum")
    report = orders.gather(write_report, [day.isoformat(), orders.outputs], label="report")
    approved = report.wait_for("approved", form=ApprovalForm, timeout=timedelta(days=3))
    approved.add_run(mail_report, {"report": report.output, "approved_by": approved.output["by"]}, label="mail")
    return tree


@register_tree
def checkout(first: int, orders: int = 5) -> TaskTree:
    """Charge and ship orders. Customers whose card is refused are notified."""
    tree = TaskTree(f"checkout of orders {first} to {first + orders - 1}")
    for order in range(first, first + orders):
        charge = tree.add_task(charge_card, [order], label=f"order {order}")
        charge.add_task(ship, [order], label="ship")
        charge.add_task(tell_customer, [order], run_when="failure", label="tell the customer")
    return tree
