"""The task functions of the shop. They return invented results."""

# ruff: noqa: ARG001  the arguments are only needed for the signatures

from typing import Any

from django_tasktree import task_with_callbacks

_SHOPS = ["Accra", "Delhi", "Kyoto", "Lima", "Oslo", "Paris", "Perth", "Quito", "Rome", "Sofia", "Turin", "Vienna"]
#: The shop whose till does not answer.
_CLOSED = "Lima"


class PaymentRefused(Exception):
    """Raised if the bank refuses a payment."""


class TillClosed(Exception):
    """Raised if the till of a shop does not answer."""


@task_with_callbacks
def list_shops(shops: int) -> list[str]:
    """Return the names of some shops."""
    return _SHOPS[:shops]


@task_with_callbacks
def read_till(day: str, shop: str) -> dict[str, Any]:
    """Read the orders of a day from the till of a shop."""
    if shop == _CLOSED:
        raise TillClosed(f"the till of {shop} does not answer")
    return {"shop": shop, "orders": 40 + 7 * len(shop)}


@task_with_callbacks
def summarize(orders: Any) -> dict[str, Any]:
    """Add up orders."""
    return {"total": 1284.5, "currency": "EUR"}


@task_with_callbacks
def write_report(day: str, parts: Any) -> str:
    """Write the report of a day."""
    return f"reports/{day}.pdf"


@task_with_callbacks
def send_mail(to: str, report: str, approved_by: str) -> None:
    """Send the report."""
    return


@task_with_callbacks
def charge_card(order: int) -> str:
    """Charge the card of an order."""
    if order % 4 == 3:
        raise PaymentRefused(f"the bank refuses order {order}: insufficient funds")
    return f"receipt-{order}"


@task_with_callbacks
def ship(order: int) -> str:
    """Ship an order."""
    return f"parcel-{order}"


@task_with_callbacks
def tell_customer(order: int) -> None:
    """Notify a customer that the bank has refused the payment."""
    return
