"""Labels differ among siblings."""

from uuid import UUID

from django_tasktree.conf import settings
from django_tasktree.engine.transitions import nodes
from django_tasktree.engine.traversal import in_chunks
from django_tasktree.exceptions import InvalidOption


def refuse_taken_labels(run_id: UUID, parent_id: UUID | None, labels: list[str]) -> None:
    """Check that no node under a parent has one of some labels.

    Args:
        run_id: the run.
        parent_id: the parent; None: the run.
        labels: the labels of nodes that are added.

    Raises:
        InvalidOption: a node has one of them.
    """
    siblings = nodes().under(run_id, parent_id)
    for batch in in_chunks(labels, settings.batch_size):
        # Without an order, which would keep databases from using the index of labels.
        for taken in siblings.filter(label__in=batch).order_by().values_list("label", flat=True)[:1]:
            owner = f"run {run_id}" if parent_id is None else f"node {parent_id}"
            raise InvalidOption(f"a child of {owner} has the label {taken!r} already: labels of siblings must differ")
