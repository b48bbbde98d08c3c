"""The runs of trees."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.indexes import PartialIndex
from django_tasktree.models.querysets import TreeRunManager
from django_tasktree.models.user_key import UserKey, set_null_across_databases
from django_tasktree.states import RUN_FINAL, OnFailure, RunState

if TYPE_CHECKING:
    from django_tasktree.models.node_run import NodeRun


class TreeRun(models.Model):
    """One run of a tree, or a draft: what was launched, who launched it, and its state."""

    #: The primary key.
    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    #: The name of the tree.
    name = ExactCharField(_("name"), max_length=200, blank=True)
    #: The name of the definition that has built the tree; empty for other trees.
    definition = ExactCharField(_("definition"), max_length=200, blank=True, db_index=True)
    #: The parameters of the definition.
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    key = ExactCharField(
        _("key"),
        max_length=200,
        null=True,
        blank=True,
        unique=True,
        help_text=_("Launching again with the same key returns this run."),
    )
    #: Its state; see :doc:`states`.
    state = ExactCharField(_("state"), max_length=10, choices=RunState.choices, default=RunState.STARTED)
    #: The consequence of a failure for the rest of the run.
    on_failure = ExactCharField(_("on failure"), max_length=9, choices=OnFailure.choices, default=OnFailure.CONTINUE)
    max_active = models.PositiveIntegerField(
        _("at most active"), null=True, blank=True, help_text=_("How many of its nodes may be queued or running.")
    )
    returns = models.TextField(  # noqa: DJ001  NULL: it has no result
        _("result"), null=True, blank=True, help_text=_("The result of the run: a value with references to results.")
    )
    eta = InstantField(_("due"), null=True, blank=True, help_text=_("When a draft is launched."))
    #: When it is stopped, if it has not ended by then.
    deadline = InstantField(_("deadline"), null=True, blank=True)
    error_message = models.TextField(
        _("error message"), blank=True, help_text=_("Why the run was ended before all of its nodes had finished.")
    )
    #: Internal: incremented by actions.
    revision = models.PositiveIntegerField(_("revision"), default=0)
    #: The run of which it is a copy.
    copy_of = models.ForeignKey(
        "self", verbose_name=_("copy of"), null=True, blank=True, on_delete=models.SET_NULL, related_name="copies"
    )
    # If it is a sub-run: the run and the node that have started it. They are no foreign keys, as either side may be
    # deleted first.
    #: The run that has started this one, a sub-run.
    parent_run_id = models.UUIDField(_("run that started it"), null=True, blank=True, editable=False)
    #: The node that waits for this run, a sub-run.
    parent_node_id = models.UUIDField(_("node that waits for it"), null=True, blank=True, editable=False)
    depth = models.PositiveSmallIntegerField(
        _("depth"), default=0, editable=False, help_text=_("How many runs it is nested in.")
    )
    detached = models.BooleanField(
        _("detached"),
        default=False,
        editable=False,
        help_text=_(
            "Whether it is a sub-run that was continued after its node had ended, so that no node waits for it."
        ),
    )
    #: When it was launched, or created as a draft.
    created_at = InstantField(_("created"), default=times.now)
    #: When it was launched; NULL for a draft.
    started_at = InstantField(_("started"), null=True, blank=True)
    #: When it ended; NULL if it has not.
    finished_at = InstantField(_("finished"), null=True, blank=True)
    idle = models.DurationField(
        _("idle"),
        default=timedelta,
        editable=False,
        help_text=_("The total time during which the run had ended, before it was reopened."),
    )
    #: The user on whose behalf it was launched.
    launched_by = UserKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("launched by"),
        null=True,
        blank=True,
        on_delete=set_null_across_databases,
        db_constraint=False,
        related_name="+",
    )

    nodes: "models.Manager[NodeRun]"
    launched_by_id: int | UUID | None

    objects = TreeRunManager()

    class Meta:
        verbose_name = _("tree run")
        verbose_name_plural = _("tree runs")
        ordering = ["-created_at", "-id"]
        get_latest_by = "created_at"
        permissions = [
            ("launch_treerun", _("Can launch trees")),
            ("compose_treerun", _("Can compose drafts of any tasks")),
            ("control_treerun", _("Can pause, resume, retry, complete and revoke runs and nodes")),
            ("answer_treerun", _("Can complete wait nodes")),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="tasktree_run_newest"),
            models.Index(fields=["state", "id"], name="tasktree_run_state"),
            models.Index(fields=["finished_at"], name="tasktree_run_finished"),
            # The sub-runs of a run, and those of a node.
            PartialIndex(
                only=models.Q(parent_run_id__isnull=False),
                fields=["parent_run_id", "parent_node_id"],
                otherwise=["parent_run_id", "parent_node_id"],
                name="tasktree_run_parent",
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)

    @property
    def is_sub_run(self) -> bool:
        """Whether a node of another run has started it."""
        return self.parent_run_id is not None

    @property
    def is_over(self) -> bool:
        """Whether the run has a final state."""
        return self.state in RUN_FINAL

    @property
    def duration(self) -> timedelta | None:
        """The duration of the run, up to now if it has not ended; None if it has not started.

        The time during which the run had ended, before it was reopened, does not count.
        """
        if self.started_at is None:
            return None
        return times.elapsed(self.started_at, self.finished_at) - self.idle
