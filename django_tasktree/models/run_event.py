"""The events that were sent to runs, for their wait nodes."""

from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.tree_run import TreeRun
from django_tasktree.models.user_key import UserKey, set_null_across_databases


class RunEvent(models.Model):
    """One event. It may be sent before a node waits for it, and is taken once, by the first node that waits for it."""

    #: The primary key.
    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    #: The run to which it was sent.
    run = models.ForeignKey(
        TreeRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="events", db_index=False
    )
    #: Its name, which a wait node waits for.
    name = ExactCharField(_("name"), max_length=100)
    #: The value that was sent, as text.
    payload = models.TextField(_("payload"), default="null")
    #: When it was sent.
    created_at = InstantField(_("sent"), default=times.now)
    #: The user who sent it; NULL if a program did.
    user = UserKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=set_null_across_databases,
        db_constraint=False,
        related_name="+",
    )
    #: The user's name at that time, or the program that sent it.
    actor = ExactCharField(_("sent by"), max_length=255, blank=True)
    #: When a node took it; NULL if none has.
    taken_at = InstantField(_("taken"), null=True, blank=True)
    # No foreign key: the event stays taken when the node is deleted.
    taken_by = models.UUIDField(_("taken by"), null=True, blank=True, help_text=_("The node that it ended."))
    refusal = models.TextField(
        _("refusal"), blank=True, help_text=_("Why its payload was refused, so that it ended no node.")
    )

    run_id: UUID

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [models.Index(fields=["run", "name", "taken_at", "id"], name="tasktree_event_taking")]

    def __str__(self) -> str:
        return self.name
