"""What only one process at a time should do."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.models.exact_char_field import ExactCharField
from django_tasktree.models.instant_field import InstantField


class Lease(models.Model):
    """Who does something, until when nobody else needs to, and how far it has got.

    ``until`` is a time of the database's clock.
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
