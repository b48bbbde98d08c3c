"""The definitions of the shop."""

from datetime import date

from shop.tasks import charge_card, fetch_orders, send_mail, ship, summarize, tell_customer, write_report

from django_tasktree import TaskTree, register_tree


@register_tree
def nightly_report(day: date, shards: int = 6) -> TaskTree:
    """Fetch the orders of a day, sum them up, and mail a report."""
    tree = TaskTree("nightly report")
    for shard in range(shards):
        first = tree.add_task(fetch_orders, [day.isoformat(), shard])
        first.add_task(summarize, [first.output["orders"]])
    report = tree.gather(write_report, [day.isoformat(), tree.outputs])
    report.add_task(send_mail, ["boss@example.com"])
    return tree


@register_tree
def checkout(first: int, orders: int = 5) -> TaskTree:
    """Charge and ship orders. Customers whose card is refused are notified."""
    tree = TaskTree(f"checkout of orders {first} to {first + orders - 1}")
    for order in range(first, first + orders):
        charge = tree.add_task(charge_card, [order])
        charge.add_task(ship, [order])
        charge.add_task(tell_customer, [order], run_when="failure")
    return tree
