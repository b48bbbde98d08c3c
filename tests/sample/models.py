"""Rows that task functions write, so that tests can count executions."""

from django.db import models


class Effect(models.Model):
    """A row for each time that the writes of a task function were committed."""

    node = models.UUIDField(null=True)
    note = models.CharField(max_length=100, blank=True)

    def __str__(self):
        return f"{self.note} of {self.node}"


class Line(models.Model):
    """A row that refers to another one; PostgreSQL and SQLite check the reference on commit."""

    effect = models.ForeignKey(Effect, on_delete=models.CASCADE)

    def __str__(self):
        return f"line of {self.effect_id}"
