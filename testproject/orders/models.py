"""The imported orders."""

from typing import Any

from django.db import models


class Order(models.Model):
    """One line of a file."""

    number = models.CharField(max_length=20, unique=True)
    day = models.DateField()
    customer = models.CharField(max_length=100)
    total = models.DecimalField(max_digits=10, decimal_places=2)

    objects: "models.Manager[Any]"

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return self.number
