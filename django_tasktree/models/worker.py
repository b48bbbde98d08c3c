"""Celery workers that are running or were lost recently."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.querysets import WorkerManager


class Worker(models.Model):
    """One worker process (not its pool processes), from its start to its end. A worker that restarts gets a new row.

    ``started_at``, ``last_seen`` and ``beating_since`` are times of the database's clock, which all workers share.
    """

    id = models.UUIDField(_("ID"), primary_key=True, editable=False)
    hostname = ExactCharField(_("name"), max_length=255)
    pid = models.PositiveBigIntegerField(_("process ID"))
    pool = ExactCharField(_("pool"), max_length=100, blank=True)
    concurrency = models.PositiveIntegerField(_("concurrency"), null=True, blank=True)
    queues = models.JSONField(_("queues"), default=list, blank=True)
    #: The task IDs of the messages that the worker has received and that have not ended. The sweep does not send these
    #: messages again.
    holds = models.JSONField(default=list, blank=True, editable=False)
    started_at = InstantField(_("started"))
    last_seen = InstantField(_("last seen"))
    #: The time of the first heartbeat of the current series without a gap.
    beating_since = InstantField(editable=False)

    objects = WorkerManager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["hostname", "started_at"]

    def __str__(self) -> str:
        return self.hostname
