"""The nodes of runs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.encoding.labels import LABEL_LENGTH
from django_tasktree.encoding.text import short_name
from django_tasktree.models.fields import ExactCharField, InstantField
from django_tasktree.models.indexes import PartialIndex
from django_tasktree.models.querysets import NodeRunManager
from django_tasktree.models.tree_run import TreeRun
from django_tasktree.states import NODE_FINAL, Hold, NodeState, OnFailure, RunWhen


class NodeRun(models.Model):
    """One task of a run: its call, its state and its result or error.

    ``args``, ``kwargs``, ``options`` and ``result`` are texts of ``django_tasktree.encoding.serialization``.
    """

    #: The primary key.
    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    #: The run to which it belongs.
    run = models.ForeignKey(
        TreeRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="nodes", db_index=False
    )
    #: The node above it; NULL for a root node.
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="children",
        db_index=False,
    )
    #: Its place among its siblings, from 0.
    position = models.PositiveIntegerField(_("position"), default=0)
    #: How many children it has.
    child_count = models.PositiveIntegerField(_("children"), default=0)

    label = ExactCharField(
        _("label"), max_length=LABEL_LENGTH, null=True, blank=True, help_text=_("Its name among its siblings.")
    )
    #: The name of its Celery task; ``tasktree.wait`` for a wait node.
    task = ExactCharField(_("task"), max_length=255)
    #: The positional arguments of its task, as text; see :ref:`stored-values`.
    args = models.TextField(_("arguments"), default="[]")
    #: The keyword arguments of its task, as text.
    kwargs = models.TextField(_("keyword arguments"), default="{}")
    #: The options of its message, such as ``queue`` or ``priority``, as text.
    options = models.TextField(_("message options"), default="{}")
    #: Whether its arguments contain results of other nodes.
    has_references = models.BooleanField(_("takes other nodes' results"), default=False)
    #: Internal: what a wait node waits for, as ``encoding.wait_spec`` writes it; NULL: the node has a task.
    wait = models.TextField(null=True, blank=True, editable=False)  # noqa: DJ001
    #: The outcome of its parent after which it runs.
    run_when = ExactCharField(_("run when"), max_length=7, choices=RunWhen.choices, default=RunWhen.SUCCESS)
    #: Whether it is a gather node.
    is_gather = models.BooleanField(_("gather"), default=False)
    quorum = ExactCharField(
        _("quorum"),
        max_length=16,
        blank=True,
        default="",
        help_text=_("How many of its siblings must succeed before a gather node starts; empty: it waits for all."),
    )

    #: Internal: the nodes from which a map node makes those of each item; see ``builder.template``.
    template = models.TextField(null=True, blank=True, editable=False)  # noqa: DJ001  NULL: it makes none
    tolerated = models.PositiveIntegerField(
        _("tolerated failures"), null=True, blank=True, help_text=_("How many of its children may fail.")
    )
    #: Internal: how many children have failed. Counted only under a node that tolerates failures; see
    #: ``engine.lifecycle.tolerance``.
    failures = models.PositiveIntegerField(default=0, editable=False)
    #: Internal: how many of those failures do not count towards ``tolerated``, because they happened before children
    #: were reset.
    forgiven = models.PositiveIntegerField(default=0, editable=False)
    allow_failure = models.BooleanField(
        _("may fail"), default=False, help_text=_("Its own failure fails neither the run nor a gather node.")
    )
    #: The consequence of a failure in its subtree for the rest of the subtree.
    on_failure = ExactCharField(_("on failure"), max_length=9, choices=OnFailure.choices, default=OnFailure.CONTINUE)
    max_active = models.PositiveIntegerField(
        _("at most active"), null=True, blank=True, help_text=_("How many nodes below it may be queued or running.")
    )
    # IDs of the run or of an ancestor, copied to each node, so that no operation has to search the ancestors for them.
    stop_scope_id = models.UUIDField(
        _("stop scope"),
        null=True,
        blank=True,
        help_text=_("What is revoked if it fails: the run, or a node's subtree."),
    )
    limit_scope_id = models.UUIDField(
        _("limited by"), null=True, blank=True, help_text=_("The run or the node whose limit it counts towards.")
    )
    #: Internal: names the worker processes that may run the node without a message of its own; see ``builder.lanes``.
    #: That of a wait node contains the name of its event; see ``builder.waits``.
    lane = ExactCharField(max_length=100, blank=True, default="", editable=False)
    #: Whether the task function of its parent has added it; for the child of a map node: whether the map has made it.
    added_at_runtime = models.BooleanField(_("added by its parent's task function"), default=False)

    #: Its state; see :doc:`states`.
    state = ExactCharField(_("state"), max_length=7, choices=NodeState.choices, default=NodeState.PENDING)
    runnable = models.BooleanField(
        _("runnable"),
        default=False,
        help_text=_("Whether its parent lets it run, but a pause, a limit or the state of the run keeps it pending."),
    )
    #: Why it must not start, apart from its parent and its run.
    hold = ExactCharField(_("held back"), max_length=7, choices=Hold.choices, default=Hold.NONE, blank=True)
    #: Whether it, and everything below it that can still run, has finished.
    settled = models.BooleanField(_("settled"), default=False)
    subtree_failed = models.BooleanField(
        _("subtree failed"), default=False, help_text=_("Once settled: whether it, or anything below it, failed.")
    )
    #: The ID of its current attempt, which is the task ID in Celery: each new attempt gets another one.
    task_id = models.UUIDField(_("task ID"), default=new_id, editable=False)
    #: Internal: an optimistic lock, incremented by actions and when children are added.
    revision = models.PositiveIntegerField(_("revision"), default=0)
    #: How many times its task has requested a retry, as ``self.request.retries`` in Celery.
    retries = models.PositiveIntegerField(_("retries"), default=0)
    #: How many attempts have started, including those of earlier retries and reruns.
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    #: The name of the worker that has started its last attempt.
    worker = ExactCharField(_("worker"), max_length=255, blank=True)
    #: Internal: the ID of the worker's row, which is deleted when the worker shuts down.
    worker_id = models.UUIDField(_("worker ID"), null=True, blank=True, editable=False)
    #: Internal: the task ID of the message whose worker process has taken the node; NULL: that of the node itself.
    carried_by = models.UUIDField(null=True, blank=True, editable=False)
    #: The run that the last attempt has started, and whose result becomes that of the node. The state WAITING of a node
    #: with a task means that it waits for this run.
    sub_run_id = models.UUIDField(_("sub-run"), null=True, blank=True, editable=False)
    #: How many times the message of its current attempt was sent again; for a wait node: how many times the signal
    #: ``node_waiting`` was due when it was sent last, reminders included.
    resend_count = models.PositiveSmallIntegerField(_("messages sent again"), default=0)
    #: When its last attempt was queued; for a wait node: when it began to wait.
    queued_at = InstantField(_("queued"), null=True, blank=True)
    #: When its last attempt started; NULL if none has.
    started_at = InstantField(_("started"), null=True, blank=True)
    #: When it finished; NULL if it has not.
    finished_at = InstantField(_("finished"), null=True, blank=True)
    #: The earliest time of its retry; for a wait node: the time at which the wait ends.
    eta = InstantField(_("due"), null=True, blank=True)

    #: Its result, as text; NULL until it has succeeded.
    result = models.TextField(_("result"), null=True, blank=True)  # noqa: DJ001  NULL: no result
    #: The class of the exception with which it failed.
    error_type = ExactCharField(_("error type"), max_length=255, blank=True)
    #: The message of this exception.
    error_message = models.TextField(_("error message"), blank=True)
    #: The arguments of this exception, as text.
    error_args = models.TextField(_("error arguments"), blank=True)
    #: The traceback of this exception.
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
            # settle: whether a child is unsettled, and whether it is a gather node.
            PartialIndex(
                only=models.Q(settled=False),
                fields=["parent", "run", "is_gather", "-position"],
                otherwise=["settled", "parent", "run", "is_gather", "-position"],
                name="tasktree_node_unsettled",
            ),
            # The gather nodes under a parent with many children; elsewhere the index above contains all of them.
            PartialIndex(
                only=models.Q(is_gather=True),
                fields=["parent", "run", "position"],
                otherwise=[],
                name="tasktree_node_gathers",
            ),
            # A child by its label.
            PartialIndex(
                only=models.Q(label__isnull=False),
                fields=["parent", "run", "label"],
                otherwise=[],
                name="tasktree_node_labels",
            ),
            # Progress; the nodes of a run in a state; the nodes that are runnable or active under a limit; the queued
            # nodes of a lane.
            models.Index(
                fields=["run", "state", "runnable", "limit_scope_id", "lane", "id"], name="tasktree_node_state"
            ),
            # The sweep: unsettled nodes by state, in pages.
            PartialIndex(
                only=models.Q(settled=False),
                fields=["state", "id"],
                otherwise=["settled", "state", "id"],
                name="tasktree_node_sweep",
            ),
            # The sweep: the nodes whose wait ends by a time.
            PartialIndex(
                only=models.Q(state=NodeState.WAITING, settled=False),
                fields=["eta", "id"],
                otherwise=[],
                name="tasktree_node_due",
            ),
            # The other nodes are found by their ID.
            models.Index(fields=["task_id"], name="tasktree_node_task_id"),
        ]

    def __str__(self) -> str:
        return self.task if self.label is None else self.label

    @property
    def title(self) -> str:
        """The name of the node for people: its label, or the last part of its task's name."""
        return self.label or short_name(self.task)

    @property
    def is_wait(self) -> bool:
        """Whether the node is a wait node, which has no task."""
        return self.wait is not None

    @property
    def is_over(self) -> bool:
        """Whether the node has a final state."""
        return self.state in NODE_FINAL

    @property
    def duration(self) -> timedelta | None:
        """The duration of the last attempt, up to now if it is still running; None if it has not started."""
        if self.started_at is None:
            return None
        return times.elapsed(self.started_at, self.finished_at)
