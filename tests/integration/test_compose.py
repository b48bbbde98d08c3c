"""Drafts that are composed in the admin."""

import json
from datetime import datetime, timezone

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.drafting import NodeRow, build, read, read_rows, save_draft
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests import celery_settings
from tests.sample.tasks import add, echo, grow, total

NEW = reverse("admin:django_tasktree_treerun_compose")


def edit_page(run):
    return reverse("admin:django_tasktree_treerun_compose_draft", args=[run.id])


def form(*nodes, name="by hand", initial=0, **more):
    data = {"name": name, "nodes-TOTAL_FORMS": len(nodes), "nodes-INITIAL_FORMS": initial, **more}
    for number, node in enumerate(nodes):
        data |= {f"nodes-{number}-{field}": value for field, value in node.items()}
    return data


def node(name, task=echo.name, **fields):
    return {"name": name, "task": task, **fields}


def errors_of(response):
    assert response.status_code == 200
    return {
        (number, field): reasons[0]
        for number, each in enumerate(response.context["formset"].errors)
        for field, reasons in each.items()
    }


@pytest.mark.usefixtures("database")
class TestRows:
    """On each database."""

    def tree(self):
        tree = TaskTree("sum", on_failure="stop", max_active=3)
        first = tree.add_task(add, [1], {"y": 2}, queue="sums", allow_failure=True)
        first.add_task(echo, [{"deep": [first.output]}], run_when="always")
        first.gather(total, [first.outputs], on_failure="stop")
        tree.add_task(echo, [datetime(2026, 1, 2, tzinfo=timezone.utc)])
        return tree

    def test_a_run_becomes_rows_and_a_draft_again(self):
        result = self.tree().apply_async(draft=True)
        rows = read_rows(result.id)
        assert [(row.name, row.parent) for row in rows] == [
            ("add", ""),
            ("echo", "add"),
            ("total", "add"),
            ("echo-2", ""),
        ]
        assert rows[0] == NodeRow("add", add.name, [1], {"y": 2}, allow_failure=True, options={"queue": "sums"})
        assert rows[1].args == [{"deep": [{"$output": "add"}]}]
        assert (rows[2].is_gather, rows[2].options) == (True, {"on_failure": "stop"})
        again = TaskTree("again")
        build(again, rows)
        before = [self.described(row) for row in NodeRun.objects.filter(run_id=result.id)]
        save_draft(again, result.id)
        assert result.run.name == "again"
        after = NodeRun.objects.filter(run_id=result.id)
        assert sorted(map(self.described, after)) == sorted(before)
        assert result.history[0].action == "edit"

    def described(self, row):
        parent = row.parent.task if row.parent else ""
        return (
            row.task,
            parent,
            row.position,
            row.child_count,
            row.run_when,
            row.is_gather,
            row.options,
            row.has_references,
        )

    def test_it_runs_in_the_end(self, eager):
        tree = TaskTree()
        build(tree, [NodeRow("a", echo.name, [4]), NodeRow("b", add.name, [{"$output": "a"}, 1], parent="a")])
        result = save_draft(tree)
        assert result.state == "DRAFT"
        result.launch()
        assert (result.state, result.children[0].children[0].get()) == ("SUCCESS", 5)

    def test_only_a_draft_is_changed(self):
        result = self.tree().apply_async()
        with pytest.raises(NotPossible, match="is no draft any more"):
            save_draft(TaskTree("other"), result.id)
        assert (NodeRun.objects.count(), result.run.name) == (4, "sum")

    def test_what_bodies_added_is_left_out(self, eager):
        tree = TaskTree()
        tree.add_task(grow, [2, 1])
        assert [row.task for row in read_rows(tree.apply_async().id)] == [grow.name]

    def test_large_trees_are_for_code(self, monkeypatch):
        monkeypatch.setattr(read, "MOST_NODES", 3)
        with pytest.raises(NotPossible, match="more than 3 nodes"):
            read_rows(self.tree().apply_async(draft=True).id)

    def test_pickled_arguments_too(self, app):
        with celery_settings.changed(app, accept_content=["json", "pickle"]):
            tree = TaskTree()
            tree.add_task(echo, [{1, 2}], serializer="pickle")
            result = tree.apply_async(draft=True)
        with pytest.raises(NotPossible, match="pickled arguments"):
            read_rows(result.id)


@pytest.mark.django_db(transaction=True)
class TestPages:
    """In the admin."""

    def test_a_new_draft(self, admin_client, admin_user):
        page = admin_client.get(NEW).content.decode()
        assert f'<option value="{echo.name}">' in page
        assert "django_tasktree.fork" not in page
        nodes = [
            node("a", args='["x"]'),
            node("b", parent="a", args='[{"$output": "a"}]', run_when="always"),
            {"run_when": "success"},
        ]
        answer = admin_client.post(NEW, form(*nodes, on_failure="stop", max_active=2), follow=True)
        run = TreeRun.objects.get()
        assert answer.redirect_chain[-1][0] == reverse("admin:django_tasktree_treerun_change", args=[run.id])
        assert (run.state, run.name, run.on_failure, run.max_active) == ("DRAFT", "by hand", "stop", 2)
        assert run.launched_by == admin_user
        assert "Saved the draft “by hand”." in answer.content.decode()
        assert LogEntry.objects.get().action_flag == ADDITION
        assert NodeRun.objects.get(parent=None).children.get().run_when == "always"

    def test_save_and_launch(self, admin_client, eager):
        admin_client.post(NEW, form(node("a", args="[5]"), _launch="Save and launch"))
        assert TreeRun.objects.get().state == "SUCCESS"
        assert [entry.action for entry in HistoryEntry.objects.all()] == ["launch"]

    def test_edit_a_draft(self, admin_client):
        tree = TaskTree("old")
        tree.add_task(echo, ["a"]).add_task(echo)
        tree.definition, tree.params = "d", {"x": 1}
        result = tree.apply_async(draft=True)
        shown = admin_client.get(edit_page(result))
        assert 'value="echo-2"' in shown.content.decode()
        changed = form(node("echo", args='["b"]'), node("echo-2", DELETE="on"), node("third"), initial=2, name="new")
        admin_client.post(edit_page(result), changed)
        assert (result.run.name, result.run.definition, result.run.params) == ("new", "", {})
        rows = NodeRun.objects.order_by("position")
        assert [(row.position, json.loads(row.args)) for row in rows] == [(0, ["b"]), (1, [])]
        assert LogEntry.objects.get().action_flag == CHANGE

    def test_copy_a_run_as_a_draft(self, admin_client, eager):
        tree = TaskTree("done")
        tree.add_task(echo, ["a"])
        result = tree.apply_async()
        page = reverse("admin:django_tasktree_treerun_change", args=[result.id])
        link = f"{NEW}?from={result.id}"
        assert link in admin_client.get(page).content.decode()
        assert "[&quot;a&quot;]" in admin_client.get(link).content.decode()

    def test_what_is_wrong_stands_beside_its_field(self, admin_client):
        nodes = [
            node("a", task="nonsense", args="[1", kwargs="[]"),
            node("a b"),
            node("c", args="{}"),
            node("d", args='{"__type__": "datetime", "__value__": "x"}'),
        ]
        assert errors_of(admin_client.post(NEW, form(*nodes))).keys() == {
            (0, "args"),
            (0, "kwargs"),
            (1, "name"),
            (2, "args"),
            (3, "args"),
        }
        nodes = [node("a", task="nonsense"), node("b", parent="nobody"), node("b")]
        told = errors_of(admin_client.post(NEW, form(*nodes)))
        assert told[1, "parent"] == "no row is called 'nobody'"
        assert told[2, "name"] == "row 2 is called 'b' too"
        assert not TreeRun.objects.exists()

    @pytest.mark.parametrize(
        "text",
        [
            '[{"__type__": "decimal", "__value__": "much"}]',
            '[{"__type__": "uuid", "__value__": 5}]',
            '[{"__type__": "unknown", "__value__": 5}]',
            100_000 * "[",
        ],
    )
    def test_what_can_not_be_read_is_told(self, admin_client, text):
        assert "This is no JSON" in errors_of(admin_client.post(NEW, form(node("a", args=text))))[0, "args"]

    def test_results_that_may_not_be_there_yet(self, admin_client):
        answer = admin_client.post(NEW, form(node("a"), node("b", args='[{"$output": "a"}]')))
        assert "may not have finished" in answer.content.decode()
        assert not TreeRun.objects.exists()

    def test_a_tree_needs_nodes(self, admin_client):
        assert "at least one node" in admin_client.post(NEW, form({"run_when": "success"})).content.decode()

    def test_a_draft_that_was_launched_meanwhile(self, admin_client):
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        result.launch()
        answer = admin_client.post(edit_page(result), form(node("a")), follow=True)
        assert "“mine” is no draft any more." in answer.content.decode()

    def test_a_run_that_is_too_large(self, admin_client, monkeypatch):
        monkeypatch.setattr(read, "MOST_NODES", 0)
        tree = TaskTree("large")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        assert "too many to be edited" in admin_client.get(edit_page(result), follow=True).content.decode()

    @pytest.mark.parametrize("missing", ["compose_treerun", "view_treerun", "view_noderun"])
    def test_who_may(self, staff, missing):
        allowed = {"view_treerun", "view_noderun", "compose_treerun"}
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        client = staff(*allowed - {missing})
        assert client.get(edit_page(result)).status_code == 403
        assert client.post(edit_page(result), form(node("a"))).status_code == 403
        assert client.get(NEW).status_code == (403 if missing == "compose_treerun" else 200)
        assert NodeRun.objects.get().task == echo.name

    def test_launching_is_another_permission(self, staff):
        client = staff("view_treerun", "view_noderun", "compose_treerun")
        assert "_launch" not in client.get(NEW).content.decode()
        client.post(NEW, form(node("a"), _launch="Save and launch"))
        assert TreeRun.objects.get().state == "DRAFT"
        page = client.get(
            reverse("admin:django_tasktree_treerun_change", args=[TreeRun.objects.get().id])
        ).content.decode()
        assert "Edit draft…" in page
        assert "Launch…" not in page
