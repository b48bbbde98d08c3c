"""Nodes that are looked up by the path of their labels, and what keeps the labels."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.template import Context, Engine
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree, TreeResult
from django_tasktree.exceptions import InvalidOption, NodeNotFound
from django_tasktree.models import NodeRun
from django_tasktree.signals import node_finished
from tests.sample.tasks import echo, fail, grow_labelled

#: Databases may regard some of them as equal.
LABELS = ["A", "a", "a ", " a", "á", "a b", "a\n", "ß", "ss", "😀", "x" * 255]

pytestmark = pytest.mark.usefixtures("eager", "database")


def workflow():
    tree = TaskTree("workflow")
    fetch = tree.add_task(echo, ["fetched"], label="fetch")
    load = fetch.add_task(echo, ["loaded"], label="load")
    for number in range(4):
        load.add_task(echo, [number])
    load.add_task(echo, ["check"], label="check").add_task(echo, ["deep"], label="check")
    tree.gather(echo, ["all"], label="report")
    return tree


def test_a_path_names_a_node_in_any_process():
    result = TreeResult(workflow().apply_async().id)
    assert [result[path].get() for path in ["fetch", "fetch/load", "fetch/load/check", "report"]] == [
        "fetched",
        "loaded",
        "check",
        "all",
    ]
    assert result["fetch"].label == "fetch"


def test_a_path_begins_at_any_node():
    result = workflow().apply_async()
    assert result["fetch"]["load/check/check"].get() == "deep"


def test_a_node_without_a_label_has_its_position():
    result = workflow().apply_async()
    assert [result[f"fetch/load/{number}"].get() for number in range(4)] == [0, 1, 2, 3]
    with pytest.raises(NodeNotFound, match="there is no '4' below 'fetch/load'"):
        # At this position is a node that has a label.
        result["fetch/load/4"]


def test_a_label_of_digits_has_priority():
    tree = TaskTree()
    tree.add_task(echo, ["first"])
    tree.add_task(echo, ["second"], label="0")
    result = tree.apply_async()
    assert result["0"].get() == "second"
    assert result[0].get() == "first"


def test_labels_are_exact():
    tree = TaskTree()
    for label in LABELS:
        tree.add_task(echo, [label], label=label)
    result = tree.apply_async()
    assert [result[label].get() for label in LABELS] == LABELS
    with pytest.raises(NodeNotFound):
        result["Á"]


def test_a_path_that_does_not_exist():
    result = workflow().apply_async()
    with pytest.raises(NodeNotFound) as caught:
        result["fetch/lod/3"]
    assert str(caught.value) == (
        "no node at 'fetch/lod/3': there is no 'lod' below 'fetch'; the labels there are 'load'"
    )
    with pytest.raises(KeyError, match="no node there has a label"):
        result["report/x"]
    with pytest.raises(KeyError, match=r"below node .*; the labels there are 'load'"):
        result["fetch"]["x"]
    with pytest.raises(KeyError, match="below run"):
        TreeResult(uuid4())["fetch"]
    with pytest.raises(ValueError, match="is not a path"):
        result[""]
    with pytest.raises(TypeError, match="must be a path of labels"):
        result["fetch"][0]


def test_attributes_come_first_in_templates(django_assert_num_queries, database):
    tree = TaskTree()
    tree.add_task(echo, ["a"], label="state").add_task(echo, ["b"], label="children")
    result = tree.apply_async()
    template = Engine().from_string("{{ run.state }} {{ run.id }} {{ node.state }} {{ node.name }} {{ run.load }}")
    node = result["/state"]
    assert template.render(Context({"run": result, "node": node})) == f"SUCCESS {result.id} SUCCESS {echo.name} "
    with django_assert_num_queries(0, using=database):
        handles: list[tuple[Any, str]] = [(result, "state"), (result, "id"), (node, "children"), (node, "parent")]
        for handle, name in handles:
            with pytest.raises(NodeNotFound, match=f"for a node with this label write '/{name}'"):
                handle[name]
    assert (node.get(), result["/state/children"].get(), node["/children"].get()) == ("a", "b", "b")


def test_an_error_lists_the_first_labels_in_alphabetical_order():
    tree = TaskTree()
    for number in range(12):
        tree.add_task(echo, label=f"part {number}")
    with pytest.raises(NodeNotFound, match=r"'part 7', …$"):
        tree.apply_async()["part 12"]


def test_one_query_for_each_step(django_assert_num_queries, database):
    result = workflow().apply_async()
    with django_assert_num_queries(3, using=database):
        result["fetch/load/check"]
    with django_assert_num_queries(4, using=database):
        result["fetch/load/2"]


def test_a_retry_from_a_path():
    result = workflow().apply_async()
    before = result["fetch/load"].task_id
    result.retry(from_node="fetch/load")
    assert result.state == "SUCCESS"
    assert result["fetch/load"].task_id != before


def test_a_copy_keeps_the_labels():
    copy = workflow().apply_async().copy()
    assert copy["fetch/load/check/check"].get() == "deep"


def test_outcomes_have_the_labels():
    tree = TaskTree()
    part = tree.add_task(echo)
    part.add_task(fail, ["no"], label="bad", allow_failure=True)
    part.add_task(echo, ["fine"])
    report = tree.gather(echo, [part.outcomes])
    outcomes = tree.apply_async()[report].get()
    assert [outcome["label"] for outcome in outcomes] == ["bad", None]


def test_nodes_that_a_task_function_adds():
    tree = TaskTree()
    tree.add_task(grow_labelled, [["a", "b"]], label="grow")
    result = tree.apply_async()
    assert result["grow/b"].get() == "b"


def test_a_task_function_may_not_use_the_label_of_a_child():
    tree = TaskTree()
    tree.add_task(grow_labelled, [["a", "b"]], label="grow").add_task(echo, label="b")
    result = tree.apply_async()
    assert result["grow"].state == "FAILURE"
    with pytest.raises(InvalidOption, match="has the label 'b' already"):
        result["grow"].get()


def test_nodes_that_are_added_to_a_run():
    result = workflow().apply_async()
    assert result["fetch"].add_task(echo, ["late"], label="late").get() == "late"
    assert result["fetch/late"].get() == "late"
    with pytest.raises(InvalidOption, match="has the label 'late' already"):
        result["fetch"].add_task(echo, label="late")
    with pytest.raises(InvalidOption, match="has the label 'fetch' already"):
        result.add_task(echo, label="fetch")
    assert NodeRun.objects.filter(run_id=result.id, label="late").count() == 1


def test_a_label_is_found_in_the_index_of_labels(database):
    result = workflow().apply_async()
    with CaptureQueriesContext(connections[database]) as queries:
        result["fetch"]
        with pytest.raises(NodeNotFound):
            result["nothing"]
        with pytest.raises(InvalidOption):
            result.add_task(echo, label="fetch")
    looked_up = [query["sql"] for query in queries if re.search(r"label[`\"] (IN|=)", query["sql"])]
    assert len(looked_up) == 3
    assert not any("ORDER BY" in sql for sql in looked_up)


def test_the_signal_has_the_label():
    seen = {}

    def note(*, node_id, label, **_rest):
        seen[node_id] = label

    node_finished.connect(note)
    try:
        result = workflow().apply_async()
    finally:
        node_finished.disconnect(note)
    assert seen == dict(NodeRun.objects.filter(run_id=result.id).values_list("id", "label"))
