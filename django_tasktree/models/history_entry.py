"""The history of actions on runs and nodes."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.node_run import NodeRun
from django_tasktree.models.tree_run import TreeRun
from django_tasktree.models.user_key import UserKey, set_null_across_databases


class Action(models.TextChoices):
    """The actions on a run or node that the history records."""

    LAUNCH = "launch", _("launch")
    PAUSE = "pause", _("pause")
    RESUME = "resume", _("resume")
    REVOKE = "revoke", _("revoke")
    RETRY = "retry", _("retry")
    RERUN = "rerun", _("run again from here")
    COMPLETE = "complete", _("complete")
    ADD = "add", _("add nodes")
    COPY = "copy", _("copy")
    EDIT = "edit", _("edit draft")
    STOP = "stop", _("stop on failure")
    DEADLINE = "deadline", _("deadline passed")
    EVENT = "event", _("send event")


class HistoryEntry(models.Model):
    """One action on a run or node: who requested it, when, and how many nodes it affected."""

    #: The primary key.
    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    #: The run on which the action was carried out.
    run = models.ForeignKey(TreeRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="history")
    node = models.ForeignKey(
        NodeRun,
        verbose_name=_("node"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("The node to whose subtree the action was applied."),
    )
    #: The action; see :doc:`control`.
    action = ExactCharField(_("action"), max_length=10, choices=Action.choices)
    #: The user who requested the action; NULL if a program did.
    user = UserKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=set_null_across_databases,
        db_constraint=False,
        related_name="+",
    )
    actor = ExactCharField(
        _("requested by"),
        max_length=255,
        blank=True,
        help_text=_("The user's name at that time, or the program that requested the action."),
    )
    #: When it was carried out.
    at = InstantField(_("at"), default=times.now)
    #: How many nodes it affected.
    nodes = models.PositiveIntegerField(_("affected nodes"), default=0)
    #: Details: the reason for a stop, or the name of an event.
    note = models.TextField(_("note"), blank=True)
    cause = models.UUIDField(
        _("cause"),
        null=True,
        blank=True,
        db_index=True,
        help_text=_("The node that requested the action in the background."),
    )

    last_batch_at = InstantField(
        _("last batch"),
        null=True,
        blank=True,
        db_index=True,
        editable=False,
        help_text=_("When the last batch was committed, while the action is being carried out in batches."),
    )
    state_before = ExactCharField(
        _("state before"),
        max_length=10,
        blank=True,
        editable=False,
        help_text=_("The state to which the run returns after an action in batches, unless the action ends the run."),
    )
    is_checked = models.BooleanField(
        _("checked"),
        default=True,
        editable=False,
        help_text=_("Whether the action can no longer be refused."),
    )

    class Meta:
        verbose_name = _("history entry")
        verbose_name_plural = _("history")
        ordering = ["run", "id"]

    def __str__(self) -> str:
        return f"{self.get_action_display()} ({self.actor})" if self.actor else self.get_action_display()

    @property
    def is_going(self) -> bool:
        """Whether the action is being carried out in batches."""
        return self.last_batch_at is not None

    @property
    def was_aborted(self) -> bool:
        """Whether the action was not carried out on all nodes, because the run was ended in the meantime."""
        return bool(self.state_before) and self.last_batch_at is None
