"""Replace the nodes of a draft."""

from collections.abc import Sequence

from django.db.models import F

from django_tasktree.engine.deletion.rows import delete_nodes
from django_tasktree.engine.lifecycle.insert import insert_nodes
from django_tasktree.engine.transitions import nodes, runs
from django_tasktree.engine.types import NodeSpec, RunSpec
from django_tasktree.states import RunState


def replace_draft_nodes(run_spec: RunSpec, specs: Sequence[NodeSpec]) -> bool:
    """Replace the nodes, name, rules and result of a draft; in the caller's transaction.

    The definition and its parameters are cleared, because the nodes are no longer those that the definition built.

    Args:
        run_spec: the new values; ``id`` is the ID of the draft.
        specs: the nodes, each parent before its children.

    Returns:
        False if the run is no longer a draft.

    Raises:
        NotPossible: if rows of other apps prevent the deletion of one of the old nodes.
    """
    drafts = runs().filter(id=run_spec.id, state=RunState.DRAFT)
    changed = drafts.update(
        name=run_spec.name,
        on_failure=run_spec.on_failure,
        max_active=run_spec.max_active,
        returns=run_spec.returns,
        definition="",
        params={},
        revision=F("revision") + 1,
    )
    if not changed:
        return False
    delete_nodes(list(nodes().filter(run_id=run_spec.id).values_list("id", flat=True)))
    insert_nodes(run_spec.id, specs, roots_runnable=True)
    return True
