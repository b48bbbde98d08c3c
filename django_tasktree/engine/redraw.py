"""Put other nodes into a draft."""

from collections.abc import Sequence

from django.db.models import F

from django_tasktree.engine.deletion import delete_nodes
from django_tasktree.engine.insert import insert_nodes
from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.engine.specs import NodeSpec, RunSpec
from django_tasktree.models import TreeRun
from django_tasktree.states import RunState


def redraw(run_spec: RunSpec, specs: Sequence[NodeSpec]) -> bool:
    """Let a draft have these nodes, and this name and these rules; in the caller's transaction.

    It is no longer what its definition made, so it has none any more.

    Args:
        run_spec: the run's key is that of the draft.
        specs: the nodes, each parent before its children.

    Returns:
        False where it is no draft any more: somebody was first.

    Raises:
        NotPossible: rows of other apps keep one of its nodes.
    """
    drafts = TreeRun.objects.using(write_alias()).filter(id=run_spec.id, state=RunState.DRAFT)
    changed = drafts.update(
        name=run_spec.name,
        on_failure=run_spec.on_failure,
        max_active=run_spec.max_active,
        definition="",
        params={},
        revision=F("revision") + 1,
    )
    if not changed:
        return False
    delete_nodes(list(nodes().filter(run_id=run_spec.id).values_list("id", flat=True)))
    insert_nodes(run_spec.id, specs, roots_ready=True)
    return True
