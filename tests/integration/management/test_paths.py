"""Nodes that are named by their paths on the command line."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


def tasktree(*args):
    """Run the command and return its output."""
    out = StringIO()
    call_command("tasktree", *map(str, args), stdout=out)
    return out.getvalue()


def attempts(result):
    """Return the numbers of attempts of the nodes that were tried more than once."""
    tried = NodeRun.objects.filter(run_id=result.id, attempts__gt=1)
    return {node.title: node.attempts for node in tried}


@pytest.fixture
def result(eager):
    """Launch a run with labels, of which two nodes fail."""
    tree = TaskTree("shop")
    load = tree.add_task(echo, ["load"], label="load")
    load.add_task(fail, ["one"], label="orders")
    load.add_task(echo, ["two"])
    tree.add_task(fail, ["three"], label="cafe")
    return tree.apply_async()


def test_a_node_is_retried(result):
    tasktree("retry", result.id, "load/orders", "--yes")
    assert attempts(result) == {"orders": 2}


def test_several_paths_of_several_ids(result):
    node = result["load"].id
    tasktree("rerun", result.id, "/load/1", "/cafe", node, "orders", "--yes")
    assert attempts(result) == {"orders": 2, "cafe": 2, "echo": 2}


def test_an_id_before_paths_is_not_a_target_itself(result):
    with pytest.raises(CommandError, match="needs the ID of a node"):
        tasktree("rerun", result.id, "load/1", result.id, "--yes")
    tasktree("rerun", result.id, "load/1", "--yes")
    assert attempts(result) == {"echo": 2}


def test_a_position_after_an_id(result):
    tasktree("rerun", result["load"].id, "1", "--yes")
    assert attempts(result) == {"echo": 2}


def test_a_path_without_a_run(result):
    with pytest.raises(CommandError, match=r"'load/1' is not an ID .* give its run's ID before it"):
        tasktree("retry", "load/1", "--yes")


def test_a_path_that_does_not_exist(result):
    with pytest.raises(CommandError, match=r"the labels there are 'cafe', 'load'; `manage.py tasktree show"):
        tasktree("retry", result.id, "lod", "--yes")
    with pytest.raises(CommandError, match="is not a path"):
        tasktree("retry", result.id, "load//1", "--yes")


def test_a_label_that_looks_like_an_id(result):
    with pytest.raises(CommandError, match=r"begins with '2026-01-31'; .* a label or a position, write /2026-01-31$"):
        tasktree("retry", result.id, "2026-01-31", "--yes")
    with pytest.raises(CommandError, match=r"the nodes of one$"):
        tasktree("retry", "2026-01-31", "--yes")


def test_labels_are_shown(result):
    text = tasktree("show", result.id, "--no-color")
    assert "load: echo(load)" in text
    assert "orders: fail(one)" in text
    assert " echo(two)" in text


def test_json_has_the_labels(result):
    described = json.loads(tasktree("show", result.id, "--format", "json"))
    assert {(node["label"], node["call"]) for node in described["nodes"]} == {
        ("load", "echo(load)"),
        ("orders", "fail(one)"),
        (None, "echo(two)"),
        ("cafe", "fail(three)"),
    }
    assert {(error["label"], error["path"]) for error in described["errors"]} == {
        ("orders", "load/orders"),
        ("cafe", "cafe"),
    }


def test_errors_history_and_actions_name_the_paths(result):
    above = TaskTree("above")
    above.add_task(echo).add_task(fail, ["no label"])
    unlabelled = above.apply_async()
    orders, none = result["load/orders"].id, unlabelled["0/0"].id
    out = tasktree("rerun", orders, "--yes") + tasktree("rerun", result.id, "load/1", "--yes")
    assert f"✔ load/orders  {orders}: 1 node runs again" in out
    assert f"✔ load/1  {result['load/1'].id}: 1 node runs again" in out
    assert f"→ fail  {none}: " in tasktree("retry", none, "--dry-run"), "no label: no path"
    text = tasktree("show", result.id, "--depth", "1")
    assert "✘ load/orders: fail(one) after 2 attempts CustomError: one" in text
    assert "run again from here of node load/orders, 1 node" in text
    assert "of node load/1, 1 node" in text
    history = json.loads(tasktree("show", result.id, "--format", "json"))["history"]
    assert (history[0]["node"], history[0]["path"]) == (str(orders), "load/orders")


def test_refusals_name_the_paths(result):
    out, out_json = StringIO(), StringIO()
    for each, form in ((out, "text"), (out_json, "json")):
        with pytest.raises(CommandError):
            call_command("tasktree", "complete", str(result["load/1"].id), "--yes", "--format", form, stdout=each)
    assert f"node load/1 ({result['load/1'].id})" in out.getvalue()
    (refused,) = json.loads(out_json.getvalue())
    assert (refused["path"], refused["done"]) == ("load/1", False)


def test_a_node_is_shown(result):
    text = tasktree("show", result.id, "load/orders", "--no-color")
    first, _, second, *_ = text.splitlines()
    assert first.startswith("✘ orders: fail(one)")
    assert second.startswith(f"node {result['load/orders'].id} of run {result.id}")
    assert "Traceback (most recent call last)" in text
    assert "  result: load\n" in tasktree("show", result["load"].id, "--no-color")
    with pytest.raises(CommandError, match="the labels there are 'cafe', 'load'"):
        tasktree("show", result.id, "lod")


def test_json_of_a_node(result):
    described = json.loads(tasktree("show", result.id, "load", "--format", "json"))
    assert (described["label"], described["state"], described["result"]) == ("load", "SUCCESS", "load")
    assert [(node["label"], node["depth"]) for node in described["nodes"]] == [("orders", 1), (None, 1)]
