"""What somebody asked of a run, or of a part of it."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree import times
from django_tasktree.identifiers import new_id
from django_tasktree.models.exact_char_field import ExactCharField
from django_tasktree.models.instant_field import InstantField
from django_tasktree.models.node_run import NodeRun
from django_tasktree.models.tree_run import TreeRun
from django_tasktree.models.user_key import UserKey, set_null_across_databases


class Action(models.TextChoices):
    """What can be asked for."""

    LAUNCH = "launch", _("launch")
    PAUSE = "pause", _("pause")
    RESUME = "resume", _("resume")
    REVOKE = "revoke", _("revoke")
    RETRY = "retry", _("retry")
    RERUN = "rerun", _("run again from here")
    SKIP = "skip", _("skip")
    ADD = "add", _("add nodes")
    COPY = "copy", _("copy")
    EDIT = "edit", _("edit draft")
    STOP = "stop", _("stop on failure")
    DEADLINE = "deadline", _("deadline passed")


class HistoryEntry(models.Model):
    """One thing that was asked for: by whom, when, and how many nodes it moved."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(TreeRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="history")
    node = models.ForeignKey(
        NodeRun,
        verbose_name=_("node"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Where it was asked of a node with its subtree."),
    )
    action = ExactCharField(_("action"), max_length=10, choices=Action.choices)
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
        _("asked by"), max_length=255, blank=True, help_text=_("The user's name then, or what else asked for it.")
    )
    at = InstantField(_("at"), default=times.now)
    nodes = models.PositiveIntegerField(_("nodes moved"), default=0)
    note = models.TextField(_("note"), blank=True)
    cause = models.UUIDField(
        _("cause"), null=True, blank=True, db_index=True, help_text=_("The node that asked for it in the background.")
    )

    class Meta:
        verbose_name = _("history entry")
        verbose_name_plural = _("history")
        ordering = ["run", "id"]

    def __str__(self) -> str:
        return f"{self.get_action_display()} ({self.actor})" if self.actor else self.get_action_display()
