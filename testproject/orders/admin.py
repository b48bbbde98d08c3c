"""The admin of the imported orders."""

from django.contrib import admin

from testproject.orders.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list of the orders."""

    list_display = ["number", "day", "customer", "total"]
    list_filter = ["day"]
    search_fields = ["number", "customer"]
