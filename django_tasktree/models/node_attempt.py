"""The log of earlier attempts at nodes."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding.ids import new_id
from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.node_run import NodeRun


class NodeAttempt(models.Model):
    """The end of an earlier attempt at a node. The node's own row describes its last attempt."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    node = models.ForeignKey(NodeRun, verbose_name=_("node"), on_delete=models.CASCADE, related_name="attempt_log")
    number = models.PositiveIntegerField(_("attempt"))
    task_id = models.UUIDField(_("task ID"))
    worker = ExactCharField(_("worker"), max_length=255, blank=True)
    started_at = InstantField(_("started"), null=True, blank=True)
    finished_at = InstantField(_("finished"))
    outcome = ExactCharField(_("outcome"), max_length=20)
    error_type = ExactCharField(_("error type"), max_length=255, blank=True)
    error_message = models.TextField(_("error message"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["node", "number"]

    def __str__(self) -> str:
        return f"{self.node_id} #{self.number}"
