"""What the nodes do: as little as possible."""

# ruff: noqa: ARG001  bodies that only need their signatures

from typing import Any

from django_tasktree import task_with_callbacks


class PaymentRefused(Exception):
    """The bank said no."""


@task_with_callbacks
def fetch_orders(day: str, shard: int) -> dict[str, Any]:
    """Read the orders of a day, one part of many."""
    return {"shard": shard, "orders": 40 + 7 * shard}


@task_with_callbacks
def summarize(orders: Any) -> dict[str, Any]:
    """Add orders up."""
    return {"total": 1284.5, "currency": "EUR"}


@task_with_callbacks
def write_report(day: str, parts: Any) -> str:
    """Write the report of a day."""
    return f"reports/{day}.pdf"


@task_with_callbacks
def send_mail(to: str) -> None:
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
    """Tell a customer that the bank said no."""
    return
