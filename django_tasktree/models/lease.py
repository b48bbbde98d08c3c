"""Leases for work that only one process at a time should do."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.models.fields import ExactCharField, InstantField


class Lease(models.Model):
    """The worker that does some work, the time until which no other worker needs to do it, and its progress.

    ``until`` is a time of the database's clock; ``cursors`` holds the positions at which the next pass continues.
    """

    name = ExactCharField(_("name"), max_length=50, primary_key=True)
    holder = models.UUIDField(_("holder"), null=True, blank=True)
    until = InstantField(_("until"))
    cursors = models.JSONField(_("cursors"), default=dict, blank=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return self.name
