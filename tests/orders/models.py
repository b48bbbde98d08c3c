"""An app of a user whose rows refer to runs and nodes with every ``on_delete`` of Django."""

from django.db import models

from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun


def _optional(model, on_delete, **options):
    return models.ForeignKey(model, on_delete, null=True, blank=True, **options)


class Nulled(models.Model):
    """A row that outlives the run."""

    run = _optional(TreeRun, models.SET_NULL)
    node = _optional(NodeRun, models.SET_NULL)
    attempt = _optional(NodeAttempt, models.SET_NULL)
    history = _optional(HistoryEntry, models.SET_NULL)

    def __str__(self):
        return "a row that outlives the run"


class Cascaded(models.Model):
    """A row that is deleted with the run; nothing refers to it."""

    run = _optional(TreeRun, models.CASCADE, related_name="+")
    node = _optional(NodeRun, models.CASCADE, related_name="+")

    def __str__(self):
        return "a row that goes"


class Order(models.Model):
    """A row that is deleted with the run, together with rows that refer to it."""

    run = _optional(TreeRun, models.CASCADE, related_name="orders", to_field="key")
    node = _optional(NodeRun, models.CASCADE)
    earlier = models.ManyToManyField(TreeRun, related_name="later_orders")

    def __str__(self):
        return "an order"


class OrderLine(models.Model):
    """A row that is deleted with its order."""

    order = models.ForeignKey(Order, models.CASCADE)

    def __str__(self):
        return "a line of an order"


class Invoice(models.Model):
    """A row that prevents the deletion of its order."""

    order = models.ForeignKey(Order, models.PROTECT)

    def __str__(self):
        return "an invoice"


class Protecting(models.Model):
    """A row that prevents the deletion of the run."""

    run = _optional(TreeRun, models.PROTECT)
    node = _optional(NodeRun, models.PROTECT)

    def __str__(self):
        return "a row that keeps the run"


class Restricting(models.Model):
    """A row that prevents the deletion of the node unless the run is deleted too."""

    run = _optional(TreeRun, models.CASCADE)
    node = _optional(NodeRun, models.RESTRICT)

    def __str__(self):
        return "a row that keeps the node"


class Defaulted(models.Model):
    """A row whose reference falls back to a default of None."""

    run = _optional(TreeRun, models.SET_DEFAULT, default=None)
    node = _optional(NodeRun, models.SET(None))

    def __str__(self):
        return "a row with a default"


class Unmanaged(models.Model):
    """A row with ``DO_NOTHING``, so that the database refuses the deletion."""

    node = _optional(NodeRun, models.DO_NOTHING)

    def __str__(self):
        return "a row that is left to the database"


class SpecialRun(TreeRun):
    """A run with an additional column."""

    note = models.CharField(max_length=10)


class Delivery(models.Model):
    """A row that requires a run."""

    word = models.CharField(max_length=10)
    run = models.ForeignKey(TreeRun, models.CASCADE)

    def __str__(self):
        return self.word


class Parcel(models.Model):
    """A row that refers to a run only by its ID."""

    word = models.CharField(max_length=10)
    run_key = models.UUIDField(null=True)

    def __str__(self):
        return self.word


class Seat(models.Model):
    """A row with a composite primary key."""

    pk = models.CompositePrimaryKey("row", "number")
    row = models.IntegerField()
    number = models.IntegerField()

    class Meta:
        managed = False

    def __str__(self):
        return f"{self.row}/{self.number}"
