"""Of a node with many children, the gather nodes and some failed children are shown, too."""

import json
import re
from io import StringIO

import pytest
from django.core.management import call_command

from django_tasktree import TaskTree
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.management.display.tree_page import top_page, top_pages
from django_tasktree.models import NodeRun
from django_tasktree.reporting import failed_children
from django_tasktree.reporting.failed_children import FailedChildren
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


def launch(width=60, failed=(30, 41, 42, 50)):
    """Launch a run with a wide node; the children at some positions have failed, or a node below them has."""
    tree = TaskTree("wide")
    top = tree.add_task(echo, label="top")
    for number in range(width):
        top.add_task(echo, [number]).add_task(echo, ["below"])
    top.gather(echo, ["all"], label="all").add_task(echo, ["afterwards"])
    result = tree.apply_async()
    children = NodeRun.objects.under(result.id, result["top"].id)
    keys = list(children.filter(position__in=failed).order_by("position").values_list("id", flat=True))
    some_fail = {"state": "FAILURE", "error_type": "OSError"}
    NodeRun.objects.filter(id__in=keys[1:]).update(**some_fail)
    NodeRun.objects.filter(parent_id__in=keys[:1]).update(**some_fail)
    return result


def show(result, *args):
    """Return the lines of the tree, without symbols and durations."""
    out = StringIO()
    call_command("tasktree", "show", str(result.id), *args, stdout=out)
    return [re.sub(r" [·◦✘✔▶] ", " ", line) for line in out.getvalue().split("\n\n")[0].splitlines()[1:]]


def test_show():
    result = launch()
    assert show(result, "--limit", "2") == [
        "◦ top: echo()",
        "├─ echo(0)",
        "│  └─ echo(below)",
        "├─ echo(1)",
        "│  └─ echo(below)",
        "├─ … 55 more (1 failed)",
        "├─ echo(30)",
        "│  └─ echo(below) OSError",
        "├─ echo(41) OSError",
        "│  └─ echo(below)",
        "├─ echo(42) OSError",
        "│  └─ echo(below)",
        "└─ all: echo(all) gather",
        "   └─ echo(afterwards)",
        "Not all nodes are shown: increase --limit or --depth to see more.",
    ]
    assert show(result, "--depth", "1")[0] == "◦ top: echo() +61 (4 failed)"
    out = StringIO()
    call_command("tasktree", "show", str(result.id), "--limit", "2", "--format", "json", stdout=out)
    assert json.loads(out.getvalue())["nodes"][0]["children_left_out"] == 55


def test_root_nodes():
    tree = TaskTree("flat")
    for number in range(30):
        tree.add_task(echo, [number])
    tree.gather(echo, ["all"])
    result = tree.apply_async()
    NodeRun.objects.filter(run_id=result.id, position=20).update(state="FAILURE")
    lines = show(result, "--limit", "1")
    assert [line[2:] for line in lines[:4]] == ["echo(0)", "28 more", "echo(20)", "echo(all) gather"]


def test_the_numbers_are_lower_bounds_if_many_nodes_failed(monkeypatch):
    result = launch()
    monkeypatch.setattr(failed_children, "MAX_READ", 4)
    assert "├─ … 55 more (1+ failed)" in show(result, "--limit", "2")


def test_the_tree_after_the_end_fits_its_lines():
    result = launch()
    sizes = []
    for height in (1, 5, 14, 40):
        pages = top_pages(result.id, depth=4, per_parent=6, total=height)
        lines = next(lines for page in pages if len(lines := [*tree_lines(page)]) <= height)
        sizes.append(len(lines))
        assert any("all: echo(all) gather" in line.plain for line in lines) or height < 5
    assert sizes[1:] == [5, 14, 22]


def test_on_every_database(database):
    result = launch()
    failed = FailedChildren(result.id)
    top = result["top"].id
    assert len(failed.beyond(top, 41, 2)) == 2
    assert (failed.number(top), failed.number(None), failed.is_cut) == (4, 1, False)
    page = top_page(result.id, depth=2, per_parent=3, total=50)
    assert [row.position for row in page.children[top]] == [0, 1, 2, 30, 41, 42, 60]
