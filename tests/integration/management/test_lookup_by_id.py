"""Runs are found by the beginning of their ID on every database."""

from django_tasktree import TaskTree
from django_tasktree.management.display.summary import summary_of
from django_tasktree.management.display.tree_page import top_page
from django_tasktree.management.lookup_by_id import find_run
from tests.sample import tasks


def test_a_run_is_found_by_the_beginning_of_its_id(database, eager):
    tree = TaskTree()
    tree.add_task(tasks.grow, [2, 1])
    runs = [tree.apply_async() for _ in range(2)]
    for result in runs:
        for digits in range(19, 37):
            assert find_run(str(result.id)[:digits]).id == result.id
        summary = summary_of(find_run(str(result.id)))
        assert [each.value for each in summary.results] == [1, 3]
        page = top_page(result.id, depth=3, per_parent=2, total=10)
        assert [row.task.rpartition(".")[2] for row, _ in page.walk()] == ["grow", "grow", "grow", "sum_up"]
