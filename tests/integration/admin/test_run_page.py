"""The page of a run."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.admin.tree import failures
from django_tasktree.admin.tree.page import PAGE, tree_page
from django_tasktree.admin.tree.row import TreeRow
from django_tasktree.client import run_value
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.admin.pages import NODES, change_page, launch_roots, node_page, query_count, shown
from tests.sample import tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("eager")]


def test_query_count_does_not_depend_on_the_size_of_the_tree(admin_client):
    def launch_wide(number):
        tree = TaskTree()
        root = tree.add_task(tasks.echo)
        for n in range(number):
            root.add_task(tasks.echo, [n]).add_task(tasks.echo)
        return tree.apply_async()

    small, large = launch_wide(60), launch_wide(250)
    assert query_count(admin_client, change_page(small)) == query_count(admin_client, change_page(large))
    one, other = small.children[0], large.children[0]
    assert query_count(admin_client, node_page(one)) == query_count(admin_client, node_page(other))
    parent = f"{change_page(large)}?parent={other.id}"
    assert f"?run={large.id}" in shown(admin_client, change_page(large)), "the link to the list of its nodes"
    text = shown(admin_client, f"{parent}&page=2")
    assert "51–100 of 250" in text
    assert text.count('class="tasktree-depth-0"') == 50
    assert text.count('class="tasktree-depth-') == 100
    assert query_count(admin_client, parent) <= query_count(admin_client, change_page(large)) + 1


def test_a_deep_chain_is_shown_a_few_levels_at_a_time(admin_client):
    tree = TaskTree("deep")
    for number in range(300):
        tree.push(tasks.echo, [number])
    result = tree.apply_async()
    text = shown(admin_client, change_page(result))
    assert text.count('class="tasktree-depth-') == 4
    assert "show 1 child" in text
    deep = NodeRun.objects.get(run_id=result.id, args="[200]")
    text = shown(admin_client, f"{change_page(result)}?parent={deep.id}")
    assert "(201)" in text
    assert "… ›" in text
    assert (
        query_count(admin_client, f"{change_page(result)}?parent={deep.id}")
        <= query_count(admin_client, change_page(result)) + 1
    )


def test_gather_nodes_and_failed_ones_are_shown_after_a_gap(admin_client):
    tree = TaskTree("wide")
    top = tree.add_task(tasks.echo, label="top")
    for number in range(120):
        above = top.add_task(tasks.echo, [number])
        above.add_task(tasks.fail if number in (7, 70, 71, 72, 73) else tasks.echo)
    top.gather(tasks.echo, label="all").add_task(tasks.echo, ["afterwards"])
    result = tree.apply_async()
    rows = re.findall(r">(all|… \d+ more(?: \(\d failed\))?|\(\d+\))<", shown(admin_client, change_page(result)))
    assert rows == ["(0)", "(1)", "(2)", "(3)", "(4)", "… 112 more (2 failed)", "(7)", "(70)", "(71)", "all"]
    page = f"{change_page(result)}?parent={result['top'].id}"
    rows = re.findall(r">(all|… \d+ more(?: \(\d failed\))?|\(\d+\))<", shown(admin_client, page))
    assert rows[48:] == ["(48)", "(49)", "… 67 more (1 failed)", "(70)", "(71)", "(72)", "all"]
    assert "… " not in shown(admin_client, f"{page}&page=3")
    address = reverse("admin:django_tasktree_treerun_rows", args=[result.id])
    first, last = (
        admin_client.get(address, {"parent": str(result["top"].id), "page": page, "depth": 1}).json() for page in (1, 3)
    )
    assert first["after"].count("<tr") == 4
    assert (last["after"], last["next"]) == ("", None)


def test_errors_and_nodes_that_were_not_reached_are_shown(admin_client):
    tree = TaskTree("<u>name</u>")
    failing = tree.add_task(tasks.fail, ["<script>alert(1)</script>"])
    failing.add_task(tasks.echo).add_task(tasks.echo)
    failing.add_task(tasks.echo, run_when="failure")
    failing.gather(tasks.total, [failing.outputs])
    tree.definition, tree.params = "d", {"a": "</pre>"}
    text = shown(admin_client, change_page(tree.apply_async(key="k")))
    assert "CustomError</strong>: &lt;script&gt;alert(1)" in text
    for part in ["not reached", "after failure", "gather", "&lt;u&gt;name", "&lt;/pre&gt;", "skipped"]:
        assert part in text
    assert "<script>alert" not in text


def test_nodes_are_named_by_their_paths(admin_client):
    tree = TaskTree("named")
    load = tree.add_task(tasks.echo, label="load")
    for number in range(3):
        load.add_task(tasks.echo, [number]).add_task(tasks.fail, ["x"], label="fetch")
    result = tree.apply_async()
    result["load/2/fetch"].retry()
    page = change_page(result)
    text = shown(admin_client, page)
    assert ">load/1/fetch (tests.sample.tasks.fail)</a>" in text, "the first errors"
    assert ">load/2/fetch</a>" in text, "the history"
    assert ">load/0/fetch</span>" in shown(admin_client, f"{NODES}?run={result.id}")
    node = result["load/1"].id
    retry = reverse("admin:django_tasktree_noderun_control", args=[node, "rerun"])
    assert "Run again from here: load/1<" in shown(admin_client, retry)
    refused = admin_client.post(retry.replace("rerun", "complete"), {"confirmed": "yes"}, follow=True)
    assert "“load/1”" in str(*refused.context["messages"])
    done = admin_client.post(retry, {"confirmed": "yes"}, follow=True)
    assert "Run again from here: load/1; " in str(*done.context["messages"])


def test_an_empty_tree_and_an_invalid_parent(admin_client):
    empty, other = TaskTree("empty").apply_async(), launch_roots([1])
    assert "This tree has no nodes." in shown(admin_client, change_page(empty))
    leaf = other.children[0].id
    assert "This node has no children." in shown(admin_client, f"{change_page(other)}?parent={leaf}&page=x")
    for parent in [leaf, "nonsense"]:
        assert admin_client.get(f"{change_page(empty)}?parent={parent}").status_code == 404


def test_a_result_is_escaped(admin_client):
    evil = '</pre><script>alert("x")</script>'
    node = launch_roots([{"<b>": [evil] * 40}]).children[0]
    for text in [shown(admin_client, node_page(node)), shown(admin_client, change_page(node.run))]:
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text
        assert "<b>" not in text
    assert "<details>" in shown(admin_client, node_page(node))


@pytest.mark.parametrize("below_a_node", [False, True])
def test_each_node_is_on_one_page_even_if_positions_are_vacant(below_a_node):
    tree = TaskTree()
    parent = tree.add_task(tasks.echo) if below_a_node else tree
    for _ in range(2 * PAGE + 10):
        parent.add_task(tasks.echo)
    run = TreeRun.objects.get(id=tree.apply_async().id)
    top = NodeRun.objects.get(run_id=run.id, parent=None) if below_a_node else None
    vacant = range(5, PAGE + 5) if top else ()
    if top:
        # Running a node again deletes what its task had added, but not what was added from outside afterwards.
        NodeRun.objects.filter(parent_id=top.id, position__in=vacant).delete()
        NodeRun.objects.filter(id=top.id).update(child_count=PAGE + 10)
        top.refresh_from_db()
    pages = [tree_page(run, top, number) for number in (1, 2, 3)]
    assert [[row.node.position // PAGE + 1 for row in page.rows if isinstance(row, TreeRow)] for page in pages] == [
        [number] * sum(place not in vacant for place in range((number - 1) * PAGE, min(number * PAGE, 2 * PAGE + 10)))
        for number in (1, 2, 3)
    ]
    assert [(page.next, page.total) for page in pages] == [
        (2, pages[0].total),
        (3, pages[0].total),
        (None, pages[0].total),
    ]
    assert tree_page(run, top, 99).number == 3


def test_a_limited_number_of_failed_nodes_is_compared(monkeypatch, django_assert_num_queries):
    tree = TaskTree()
    for _ in range(4):
        tree.add_task(tasks.fail)
    run = TreeRun.objects.get(id=tree.apply_async().id)
    first = list(NodeRun.objects.filter(run_id=run.id).order_by("finished_at").values_list("id", flat=True))
    with django_assert_num_queries(1):
        assert failures.keys_of_first_failures(run) == first
    monkeypatch.setattr(failures, "MAX_COMPARED", 2)
    assert len(failures.keys_of_first_failures(run)) == 2


def test_the_result_of_a_run(admin_client):
    tree = TaskTree()
    node = tree.add_task(tasks.echo, [{"rows": 1_234}], label="count")
    tree.returns([node.output["rows"], "and more"])
    result = tree.apply_async()
    assert "[1234, &quot;and more&quot;]" in shown(admin_client, change_page(result))
    other = TaskTree()
    other.add_task(tasks.echo)
    assert 'id="result"' not in shown(admin_client, change_page(other.apply_async()))


def test_many_results_are_named_only(admin_client, monkeypatch):
    monkeypatch.setattr(run_value, "_MAX_SHOWN", 1)
    tree = TaskTree()
    top = tree.add_task(tasks.echo, label="top")
    for number in range(2):
        top.add_task(tasks.echo, [number])
    tree.returns(top.outputs)
    assert "&lt;outputs of top " in shown(admin_client, change_page(tree.apply_async()))


def test_lists_do_not_read_the_results_of_runs(admin_client):
    tree = TaskTree()
    tree.add_task(tasks.echo)
    tree.returns("x")
    tree.apply_async()
    for name in ["changelist", "list_live"]:
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(reverse(f"admin:django_tasktree_treerun_{name}")).status_code == 200
        assert not [query for query in queries if '"returns"' in query["sql"]]
