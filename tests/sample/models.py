"""What bodies leave behind in the database, so that tests can count how often they did."""

from django.db import models


class Effect(models.Model):
    """One row for each time that a body's writes were committed."""

    node = models.UUIDField(null=True)
    note = models.CharField(max_length=100, blank=True)

    def __str__(self):
        return f"{self.note} of {self.node}"


class Line(models.Model):
    """A row that refers to another; PostgreSQL and SQLite look at commit whether that exists."""

    effect = models.ForeignKey(Effect, on_delete=models.CASCADE)

    def __str__(self):
        return f"line of {self.effect_id}"
