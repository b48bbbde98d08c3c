"""Settle a long line of only children in few queries, where single steps would take two each."""

from collections import defaultdict
from uuid import UUID

from django.db import connections
from django.db.models import Count

from django_tasktree.engine.moves import nodes, write_alias
from django_tasktree.models import NodeRun
from django_tasktree.states import NODE_FAILED, NODE_FINAL, NodeState

#: How many ancestors are looked at in one go.
_REACH = 500

_LINE = """
    WITH RECURSIVE line (id, parent_id, state, child_count, revision, allow_failure, step) AS (
        SELECT id, parent_id, state, child_count, revision, allow_failure, 0 FROM {table}
        WHERE id = %s AND NOT settled AND state IN ({final})
        UNION ALL
        SELECT node.id, node.parent_id, node.state, node.child_count, node.revision, node.allow_failure, line.step + 1
        FROM {table} node JOIN line ON node.id = line.parent_id
        WHERE line.step < %s AND NOT node.settled AND node.state IN ({final})
    )
    SELECT id, parent_id, state, child_count, revision, allow_failure FROM line ORDER BY step
"""


def climb(run_id: UUID, node_id: UUID) -> UUID | None:
    """Settle a node and those above it, as long as each has nothing unsettled under it but the one before.

    Args:
        run_id: the run.
        node_id: the lowest node.

    Returns:
        The lowest node that was not settled here (``node_id`` itself where none was); None above a root node.
    """
    line = _only_children(run_id, _ancestors(node_id))
    if not line:
        return node_id
    failing = set(
        nodes()
        .filter(run_id=run_id, parent__in=[node.id for node in line], failed=True)
        .values_list("parent_id", flat=True)
    )
    groups: dict[tuple[bool, int, int], list[UUID]] = defaultdict(list)
    failed = False
    for node in line:
        failed = failed or (node.state in NODE_FAILED and not node.allow_failure) or node.id in failing
        groups[failed, node.child_count, node.revision].append(node.id)
    marked = sum(
        nodes()
        .filter(id__in=ids, settled=False, child_count=child_count, revision=revision)
        .update(settled=True, failed=failed)
        for (failed, child_count, revision), ids in groups.items()
    )
    # Where one of them has changed in the meantime, the single steps find out which.
    return line[-1].parent_id if marked == len(line) else node_id


def _ancestors(node_id: UUID) -> list[NodeRun]:
    """The node and those above it that have ended but not settled, lowest first."""
    alias = write_alias()
    # What is not reached below a skipped node stays unsettled, which the single steps mind.
    final = [str(state) for state in sorted(NODE_FINAL - {NodeState.SKIPPED})]
    placeholders = ", ".join(["%s"] * len(final))
    sql = _LINE.format(table=NodeRun._meta.db_table, final=placeholders)
    key = NodeRun._meta.pk.get_db_prep_value(node_id, connections[alias])
    return list(NodeRun.objects.using(alias).raw(sql, [key, *final, _REACH, *final]))


def _only_children(run_id: UUID, line: list[NodeRun]) -> list[NodeRun]:
    """Cut the line off at the first node that has something else unsettled under it."""
    unsettled = nodes().filter(run_id=run_id, parent__in=[node.id for node in line], settled=False)
    counts = dict(unsettled.order_by().values_list("parent_id").annotate(n=Count("*")))
    for index, node in enumerate(line):
        if counts.get(node.id, 0) != (1 if index else 0):
            return line[:index]
    return line
