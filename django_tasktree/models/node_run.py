"""A node of a launched tree."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree import times
from django_tasktree.identifiers import new_id
from django_tasktree.models.exact_char_field import ExactCharField
from django_tasktree.models.instant_field import InstantField
from django_tasktree.models.querysets import NodeRunManager
from django_tasktree.models.tree_run import TreeRun
from django_tasktree.states import NODE_FINAL, Hold, NodeState, OnFailure, RunWhen


class NodeRun(models.Model):
    """One task of a run: what is to be called, how it stands, and what came of it.

    ``args``, ``kwargs``, ``options`` and ``result`` hold text as ``django_tasktree.serialization`` writes it.
    """

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(
        TreeRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="nodes", db_index=False
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="children",
        db_index=False,
    )
    position = models.PositiveIntegerField(_("position"), default=0)
    child_count = models.PositiveIntegerField(_("children"), default=0)

    task = ExactCharField(_("task"), max_length=255)
    args = models.TextField(_("arguments"), default="[]")
    kwargs = models.TextField(_("keyword arguments"), default="{}")
    options = models.TextField(_("message options"), default="{}")
    has_references = models.BooleanField(_("takes other nodes' results"), default=False)
    run_when = ExactCharField(_("run when"), max_length=7, choices=RunWhen.choices, default=RunWhen.SUCCESS)
    is_gather = models.BooleanField(_("gather"), default=False)

    allow_failure = models.BooleanField(
        _("may fail"), default=False, help_text=_("Its own failure fails neither the run nor a gather node.")
    )
    on_failure = ExactCharField(_("on failure"), max_length=8, choices=OnFailure.choices, default=OnFailure.CONTINUE)
    max_active = models.PositiveIntegerField(
        _("at most active"), null=True, blank=True, help_text=_("How many nodes below it may be queued or running.")
    )
    # The keys of the run or of an ancestor, copied to each node so that no verb has to look for them upwards.
    stops = models.UUIDField(
        _("stops"), null=True, blank=True, help_text=_("What is revoked if it fails: the run, or a node's subtree.")
    )
    limiter = models.UUIDField(
        _("limited by"), null=True, blank=True, help_text=_("The run or the node whose limit it counts towards.")
    )
    grown = models.BooleanField(_("added by its parent's body"), default=False)

    state = ExactCharField(_("state"), max_length=7, choices=NodeState.choices, default=NodeState.PENDING)
    ready = models.BooleanField(
        _("ready"), default=False, help_text=_("Pending, though its parent lets it run: paused, or over a limit.")
    )
    hold = ExactCharField(_("held back"), max_length=7, choices=Hold.choices, default=Hold.NONE, blank=True)
    settled = models.BooleanField(_("settled"), default=False)
    failed = models.BooleanField(
        _("failed"), default=False, help_text=_("Once settled: whether it, or anything below it, failed.")
    )
    task_id = models.UUIDField(_("task ID"), default=new_id, editable=False)
    # What changes a node or the number of its children from outside counts this up, and settle minds it.
    revision = models.PositiveIntegerField(_("revision"), default=0)
    retries = models.PositiveIntegerField(_("retries"), default=0)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    worker = ExactCharField(_("worker"), max_length=255, blank=True)
    # The key of its Worker row, which goes when the worker does.
    worker_id = models.UUIDField(_("worker ID"), null=True, blank=True, editable=False)
    resent = models.PositiveSmallIntegerField(_("messages sent again"), default=0)
    queued_at = InstantField(_("queued"), null=True, blank=True)
    started_at = InstantField(_("started"), null=True, blank=True)
    finished_at = InstantField(_("finished"), null=True, blank=True)
    eta = InstantField(_("due"), null=True, blank=True)

    result = models.TextField(_("result"), null=True, blank=True)  # noqa: DJ001  NULL: there is none
    error_type = ExactCharField(_("error type"), max_length=255, blank=True)
    error_message = models.TextField(_("error message"), blank=True)
    error_args = models.TextField(_("error arguments"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)

    run_id: UUID
    parent_id: UUID | None
    children: "models.Manager[NodeRun]"
    attempt_log: "models.Manager[Any]"

    objects = NodeRunManager()

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        indexes = [
            # The children of a node, and the root nodes of a run (parent NULL), in order.
            models.Index(fields=["parent", "run", "position"], name="tasktree_node_children"),
            # settle: is anything under a parent unsettled, and is it a gather node?
            models.Index(fields=["parent", "run", "settled", "is_gather", "-position"], name="tasktree_node_unsettled"),
            # progress; the nodes of a run that are in some state; those that are ready or active under a limit.
            models.Index(fields=["run", "state", "ready", "limiter"], name="tasktree_node_state"),
            # sweep: what has not settled, by state, in pages.
            models.Index(fields=["settled", "state", "id"], name="tasktree_node_sweep"),
            models.Index(fields=["task_id"], name="tasktree_node_task_id"),
        ]

    def __str__(self) -> str:
        return self.task

    @property
    def is_over(self) -> bool:
        """Whether the node has a final state."""
        return self.state in NODE_FINAL

    @property
    def duration(self) -> timedelta | None:
        """How long the last attempt has taken, so far where it is still running."""
        if self.started_at is None:
            return None
        return times.elapsed(self.started_at, self.finished_at)
