"""Write a draft down, or anew."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop as _

from django_tasktree.blueprint import draw_run
from django_tasktree.engine.history import record
from django_tasktree.engine.moves import write_alias
from django_tasktree.engine.redraw import redraw
from django_tasktree.engine.specs import RunSpec
from django_tasktree.exceptions import NotPossible
from django_tasktree.models.history_entry import Action
from django_tasktree.result import TreeResult
from django_tasktree.states import OnFailure
from django_tasktree.tree import TaskTree


def save_draft(tree: TaskTree, run_id: UUID | None = None, by: Any = None) -> TreeResult:
    """Write a tree down as a draft.

    Args:
        tree: the tree.
        run_id: the draft that is to become this tree; None: a new one.
        by: the user who asks.

    Raises:
        NotPossible: the run is no draft any more.
        SerializationError, BrokenReference, InvalidOption: see :meth:`TaskTree.apply_async`.
    """
    if run_id is None:
        return tree.apply_async(draft=True, launched_by=by)
    spec = RunSpec(id=run_id, name=tree.run_name, on_failure=OnFailure(tree.on_failure), max_active=tree.max_active)
    blueprint = draw_run(tree, spec)
    with transaction.atomic(using=write_alias()):
        if not redraw(spec, blueprint.specs):
            raise NotPossible(_("run %(run)s is no draft any more: it was launched or deleted meanwhile"), run=run_id)
        record(run_id, Action.EDIT, by, nodes=len(blueprint.specs))
    return TreeResult(run_id, blueprint.keys)
