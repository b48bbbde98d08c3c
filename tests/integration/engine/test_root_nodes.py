"""The root nodes of a run are read in order from an index, and are not counted."""

import pytest
from django.db import connections

from django_tasktree import TreeResult
from django_tasktree.models import NodeRun
from tests.integration.engine.trees import insert_run, tree_of
from tests.sample.tasks import echo

#: What a plan says if the database sorts.
SORTS = {"sqlite": "TEMP B-TREE", "postgresql": "Sort", "mysql": "filesort"}


@pytest.fixture
def wide(database):
    """Return the ID of a run with many root nodes, of which the database knows statistics."""
    run_id = insert_run(tree_of(*[[] for _ in range(1500)], [[], []]))[0].run_id
    insert_run(tree_of(*[[] for _ in range(1500)]))
    with connections[database].cursor() as cursor:
        table = "TABLE " if connections[database].vendor == "mysql" else ""
        cursor.execute(f"ANALYZE {table}{NodeRun._meta.db_table}")
    return run_id


def test_root_nodes_are_read_without_sorting_them(database, wide):
    roots = NodeRun.objects.under(wide, None).in_order()
    for some in (roots[:50], roots.filter(position__gt=700)[:50], roots.reverse()[:1]):
        assert SORTS[connections[database].vendor] not in some.explain()
    assert [node.position for node in roots[:3]] == [0, 1, 2]


def test_the_number_of_root_nodes_follows_from_the_last_position(database, wide):
    assert NodeRun.objects.root_count(wide) == len(TreeResult(wide)) == 1501
    assert NodeRun.objects.last_position(wide, NodeRun.objects.get(run_id=wide, position=1500).id) == 1
    TreeResult(wide).add_task(echo)
    assert NodeRun.objects.root_count(wide) == NodeRun.objects.under(wide, None).count() == 1502


def test_a_node_without_children_has_no_last_position(database):
    run_id = insert_run(tree_of())[0].run_id
    assert (NodeRun.objects.root_count(run_id), NodeRun.objects.last_position(run_id, None)) == (0, None)
