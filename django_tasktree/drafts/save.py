"""Save a tree as a new draft, or replace the nodes of an existing one."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop as _

from django_tasktree.builder.plan import plan_run
from django_tasktree.client.tree import TaskTree
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.drafts.comparison import is_stored
from django_tasktree.engine.control.replace_draft import replace_draft_nodes
from django_tasktree.engine.history import record
from django_tasktree.engine.transitions import runs, write_alias
from django_tasktree.engine.types import RunSpec
from django_tasktree.exceptions import NotPossible, TaskTreeError
from django_tasktree.models.history_entry import Action
from django_tasktree.states import OnFailure, RunState


class DraftChanged(TaskTreeError):
    """The draft was changed by someone else in the meantime. Read it again before you change it."""


def save_draft(
    tree: TaskTree,
    run_id: UUID | None = None,
    by: Any = None,
    *,
    revision: int | None = None,
    new_id: UUID | None = None,
) -> TreeResult:
    """Save a tree as a draft and return the handle of its run.

    Args:
        tree: the tree.
        run_id: the draft to replace; None creates a new draft.
        by: the user who saves it.
        revision: the revision of the draft that the user has edited; None replaces any revision.
        new_id: the ID of a new draft; by default a new ID.

    Raises:
        NotPossible: if the run is no longer a draft.
        DraftChanged: if the draft has another revision now, and differs from the tree.
        SerializationError, BrokenReference, InvalidOption: see :meth:`TaskTree.apply_async`.
    """
    if run_id is None:
        return tree.apply_async(draft=True, launched_by=by, run_id=new_id)
    spec = RunSpec(id=run_id, name=tree.run_name, on_failure=OnFailure(tree.on_failure), max_active=tree.max_active)
    plan = plan_run(tree, spec)
    spec.returns = plan.result_of(tree)
    specs = list(plan)
    with transaction.atomic(using=write_alias()):
        if _was_changed(run_id, revision):
            if is_stored(spec, specs):
                return TreeResult(run_id)
            raise DraftChanged(f"the draft {run_id} was changed in the meantime: read it again")
        if not replace_draft_nodes(spec, specs):
            raise NotPossible(_("run %(run)s is no draft any more: it was launched or deleted meanwhile"), run=run_id)
        record(run_id, Action.EDIT, by, nodes=len(specs))
    return TreeResult(run_id, plan.keys)


def _was_changed(run_id: UUID, revision: int | None) -> bool:
    """Lock a draft and return whether it has another revision; False if it is no longer a draft."""
    drafts = runs().select_for_update().filter(id=run_id, state=RunState.DRAFT)
    stored = drafts.values_list("revision", flat=True).first()
    return stored is not None and revision is not None and stored != revision
