"""The log of earlier attempts at nodes."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding.ids import new_id
from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.node_run import NodeRun


class NodeAttempt(models.Model):
    """The end of an earlier attempt at a node. The node's own row describes its last attempt."""

    #: The primary key.
    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    #: The node.
    node = models.ForeignKey(NodeRun, verbose_name=_("node"), on_delete=models.CASCADE, related_name="attempt_log")
    #: The number of the attempt, from 1.
    number = models.PositiveIntegerField(_("attempt"))
    #: The task ID that the attempt had.
    task_id = models.UUIDField(_("task ID"))
    #: The name of the worker that has started the attempt.
    worker = ExactCharField(_("worker"), max_length=255, blank=True)
    #: When it started.
    started_at = InstantField(_("started"), null=True, blank=True)
    #: When it ended.
    finished_at = InstantField(_("finished"))
    #: ``RETRY``, ``LOST``, ``REJECTED``, or the final state of the node before it was run again.
    outcome = ExactCharField(_("outcome"), max_length=20)
    #: The class of the exception with which it ended.
    error_type = ExactCharField(_("error type"), max_length=255, blank=True)
    #: The message of this exception.
    error_message = models.TextField(_("error message"), blank=True)
    #: The traceback of this exception.
    traceback = models.TextField(_("traceback"), blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["node", "number"]

    def __str__(self) -> str:
        return f"{self.node_id} #{self.number}"
