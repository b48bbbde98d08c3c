"""The configuration of the demo."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The demo's app; its label differs from those of apps that are called orders."""

    name = "testproject.orders"
    label = "demo_orders"
    verbose_name = "Orders"
    default_auto_field = "django.db.models.BigAutoField"
