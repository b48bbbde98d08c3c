"""The numbers of nodes of large runs, as they were counted last."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.models.fields import ExactCharField, InstantField


class NodeCounts(models.Model):
    """The nodes of a large run by state, kept for all processes, so that not every look has to count them.

    The process that looks at the run writes it. There is no foreign key: inserting one would wait for an action that
    locks the run.
    """

    run_id = models.UUIDField(_("run"), primary_key=True, editable=False)
    by_state = models.JSONField(_("nodes by state"), default=dict)
    # The run, when they were counted.
    run_state = ExactCharField(_("state of the run"), max_length=10, blank=True)
    run_revision = models.PositiveIntegerField(_("revision of the run"), default=0)
    # NULL: they are being counted for the first time.
    counted_at = InstantField(_("counted"), null=True, blank=True)
    due_at = InstantField(_("to be counted again"), null=True, blank=True)
    claimed_until = InstantField(
        _("claimed until"), null=True, blank=True, help_text=_("Until then, one request counts the nodes for all.")
    )

    class Meta:
        verbose_name = _("counts of nodes")
        verbose_name_plural = _("counts of nodes")

    def __str__(self) -> str:
        return str(self.run_id)
