"""Compose drafts in the admin."""

import json
import re
from datetime import date, datetime, timezone

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.drafts import DraftChanged, InvalidDraft, NodeRow, build, read, read_result, read_rows, save_draft
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from tests import celery_settings
from tests.sample.tasks import add, echo, grow, total

NEW = reverse("admin:django_tasktree_treerun_compose")


def edit_page(run):
    """Return the address of the page that edits a draft."""
    return reverse("admin:django_tasktree_treerun_compose_draft", args=[run.id])


def form(*nodes, name="by hand", initial=0, **more):
    """Return the data of the form for these nodes."""
    data = {"name": name, "nodes-TOTAL_FORMS": len(nodes), "nodes-INITIAL_FORMS": initial, **more}
    for number, node in enumerate(nodes):
        data |= {f"nodes-{number}-{field}": value for field, value in node.items()}
    return data


def node(name, task=echo.name, **fields):
    """Return the fields of one node."""
    return {"name": name, "task": task, **fields}


def hidden(response, name):
    """Return the value of a hidden field."""
    return re.search(f'name="{name}" value="([^"]*)"', response.content.decode())[1]  # type: ignore[index]


def errors_of(response):
    """Return the first error of each field, by the number of the node and the name of the field."""
    assert response.status_code == 200
    return {
        (number, field): reasons[0]
        for number, each in enumerate(response.context["formset"].errors)
        for field, reasons in each.items()
    }


@pytest.mark.usefixtures("database")
class TestRows:
    """Runs become rows of the form, and rows become drafts, on each database."""

    def tree(self):
        tree = TaskTree("sum", on_failure="stop", max_active=3)
        first = tree.add_task(add, [1], {"y": 2}, queue="sums", allow_failure=True)
        first.add_task(echo, [{"deep": [first.output]}], run_when="always")
        first.gather(total, [first.outputs], on_failure="stop")
        tree.add_task(echo, [datetime(2026, 1, 2, tzinfo=timezone.utc)])
        return tree

    def test_a_run_becomes_rows_and_these_become_the_same_draft(self):
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
        before = [self.fields_of(row) for row in NodeRun.objects.filter(run_id=result.id)]
        save_draft(again, result.id)
        assert result.run.name == "again"
        after = NodeRun.objects.filter(run_id=result.id)
        assert sorted(map(self.fields_of, after)) == sorted(before)
        assert result.history[0].action == "edit"

    def fields_of(self, row):
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

    def test_the_result_of_the_run_is_kept(self, eager):
        tree = TaskTree("sum")
        tree.returns({"first": [tree.add_task(add, [1, 2]).output, tree.outputs], "text": "x"})
        result = tree.apply_async(draft=True)
        named = read_result(result.run)
        assert named == ({"first": [{"$output": "add"}, {"$outputs": ""}], "text": "x"},)
        for _ in ["changed", "unchanged"]:
            again = TaskTree("sum")
            build(again, read_rows(result.id), named)
            save_draft(again, result.id, revision=0)
        assert result.run.revision == 1
        result.launch()
        assert result.value() == {"first": [3, [3]], "text": "x"}

    def test_a_result_that_names_no_row(self):
        with pytest.raises(InvalidDraft, match=r"result: \$output: no row has the name 'b'"):
            build(TaskTree(), [NodeRow("a", echo.name)], ({"$output": "b"},))

    def test_a_run_without_a_result(self):
        assert read_result(self.tree().apply_async(draft=True).run) == ()

    def test_labels_are_kept(self):
        tree = TaskTree()
        first = tree.add_task(echo, label="größe 1")
        first.add_task(echo, label="x")
        tree.add_task(echo, label="x")
        rows = read_rows(tree.apply_async(draft=True).id)
        assert [(row.name, row.label) for row in rows] == [("groe-1", "größe 1"), ("x", "x"), ("x-2", "x")]

    def test_a_composed_draft_can_be_run(self, eager):
        tree = TaskTree()
        build(tree, [NodeRow("a", echo.name, [4]), NodeRow("b", add.name, [{"$output": "a"}, 1], parent="a")])
        result = save_draft(tree)
        assert result.state == "DRAFT"
        result.launch()
        assert (result.state, result.children[0].children[0].get()) == ("SUCCESS", 5)

    def test_only_a_draft_can_be_changed(self):
        result = self.tree().apply_async()
        with pytest.raises(NotPossible, match="is no draft any more"):
            save_draft(TaskTree("other"), result.id)
        assert (NodeRun.objects.count(), result.run.name) == (4, "sum")

    def test_nodes_that_task_functions_added_are_left_out(self, eager):
        tree = TaskTree()
        tree.add_task(grow, [2, 1])
        assert [row.task for row in read_rows(tree.apply_async().id)] == [grow.name]

    def test_a_large_run_is_refused(self, monkeypatch):
        monkeypatch.setattr(read, "MAX_NODES", 3)
        with pytest.raises(NotPossible, match="more than 3 nodes"):
            read_rows(self.tree().apply_async(draft=True).id)

    def test_pickled_arguments_are_refused(self, app):
        with celery_settings.changed(app, accept_content=["json", "pickle"]):
            tree = TaskTree()
            tree.add_task(echo, [{1, 2}], serializer="pickle")
            result = tree.apply_async(draft=True)
        with pytest.raises(NotPossible, match="pickled arguments"):
            read_rows(result.id)


@pytest.mark.django_db(transaction=True)
class TestPages:
    """The pages that compose and edit a draft."""

    def test_a_new_draft_is_saved(self, admin_client, admin_user):
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

    def test_a_new_draft_is_saved_and_launched(self, admin_client, eager):
        admin_client.post(NEW, form(node("a", args="[5]"), _launch="Save and launch"))
        assert TreeRun.objects.get().state == "SUCCESS"
        assert [entry.action for entry in HistoryEntry.objects.all()] == ["launch"]

    def test_a_draft_is_edited(self, admin_client):
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

    def test_a_run_is_copied_as_a_draft(self, admin_client, eager):
        tree = TaskTree("done")
        tree.add_task(echo, ["a"])
        result = tree.apply_async()
        page = reverse("admin:django_tasktree_treerun_change", args=[result.id])
        link = f"{NEW}?from={result.id}"
        assert link in admin_client.get(page).content.decode()
        assert "[&quot;a&quot;]" in admin_client.get(link).content.decode()

    @pytest.mark.parametrize("value", ["done", 0, False, [], {}, None, [date(2026, 1, 31)]], ids=repr)
    def test_a_result_of_any_type_is_kept(self, admin_client, value):
        tree = TaskTree()
        tree.add_task(echo)
        tree.returns(value)
        result = tree.apply_async(draft=True)
        shown = admin_client.get(edit_page(result)).context["form"]["returns"].value()
        admin_client.post(edit_page(result), form(node("changed"), initial=1, returns=shown))
        assert (result.run.revision, read_result(result.run)) == (1, (value,))

    def test_errors_are_reported_at_their_fields(self, admin_client):
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
        nodes = [node("a", task="nonsense"), node("b", parent="missing"), node("b")]
        errors = errors_of(admin_client.post(NEW, form(*nodes)))
        assert errors[1, "parent"] == "no row has the name 'missing'"
        assert errors[2, "name"] == "row 2 has the name 'b' too"
        assert not TreeRun.objects.exists()

    @pytest.mark.parametrize(
        "text",
        [
            '[{"__type__": "decimal", "__value__": "much"}]',
            '[{"__type__": "uuid", "__value__": 5}]',
            '[{"__type__": "unknown", "__value__": 5}]',
            100_000 * "[",
            "[NaN]",
            "[-Infinity]",
            "[1e999]",
            f"[{5_000 * '9'}]",
        ],
    )
    def test_invalid_json_is_reported(self, admin_client, text):
        assert "This is not valid JSON" in errors_of(admin_client.post(NEW, form(node("a", args=text))))[0, "args"]

    def test_a_reference_to_a_node_that_may_not_have_finished_is_refused(self, admin_client):
        answer = admin_client.post(NEW, form(node("a"), node("b", args='[{"$output": "a"}]')))
        assert "may not have finished" in answer.content.decode()
        assert not TreeRun.objects.exists()

    def test_a_tree_needs_nodes(self, admin_client):
        assert "at least one node" in admin_client.post(NEW, form({"run_when": "success"})).content.decode()

    def test_a_draft_that_was_launched_in_the_meantime_is_not_changed(self, admin_client):
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        result.launch()
        answer = admin_client.post(edit_page(result), form(node("a")), follow=True)
        assert "“mine” is no draft any more." in answer.content.decode()

    def test_two_windows_do_not_overwrite_each_other(self, admin_client, admin_user):
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        first, second = (hidden(admin_client.get(edit_page(result)), "revision") for _ in range(2))
        admin_client.post(edit_page(result), form(node("a"), name="one", revision=first))
        wrong = admin_client.post(edit_page(result), form(node("b"), name="", revision=second, max_active="x"))
        assert hidden(wrong, "revision") == second
        conflict = admin_client.post(edit_page(result), form(node("b"), name="two", revision=second))
        assert "This draft was changed in the meantime" in conflict.content.decode()
        assert 'value="two"' in conflict.content.decode()
        assert result.run.name == "one"
        admin_client.post(edit_page(result), form(node("b"), name="two", revision=hidden(conflict, "revision")))
        assert result.run.name == "two"

    def test_saving_checks_the_revision(self):
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        save_draft(tree, result.id, revision=0)
        tree.add_task(echo)
        with pytest.raises(DraftChanged, match=str(result.id)):
            save_draft(tree, result.id, revision=0)
        result.launch()
        with pytest.raises(NotPossible):
            save_draft(tree, result.id, revision=0)

    def test_a_change_that_is_sent_twice_is_made_once(self, admin_client):
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        nodes = [node("a", args="[1]"), node("b", parent="a", args='[{"$output": "a"}]')]
        revision = hidden(admin_client.get(edit_page(result)), "revision")
        for _ in range(2):
            assert admin_client.post(edit_page(result), form(*nodes, revision=revision)).status_code == 302
        assert [entry.action for entry in result.history].count("edit") == 1
        nodes[1]["args"] = '[{"$outputs": "a"}]'
        assert admin_client.post(edit_page(result), form(*nodes, revision=revision)).status_code == 200
        nodes[1]["args"] = '[{"$output": "a"}]'
        assert admin_client.post(edit_page(result), form(*nodes, name="x", revision=revision)).status_code == 200

    def test_a_new_draft_that_is_sent_twice_is_saved_once(self, admin_client):
        data = form(node("a"), once=hidden(admin_client.get(NEW), "once"))
        pages = [admin_client.post(NEW, data, follow=True) for _ in range(2)]
        assert TreeRun.objects.count() == 1
        assert pages[0].redirect_chain == pages[1].redirect_chain
        assert "This form was sent before" in pages[1].content.decode()

    def test_a_copy_can_be_saved_after_its_source_was_deleted(self, admin_client):
        tree = TaskTree("source")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        page = f"{NEW}?from={result.id}"
        assert admin_client.get(page).status_code == 200
        result.run.delete()
        assert admin_client.get(page).status_code == 404
        admin_client.post(page, form(node("a"), name="copy"))
        assert TreeRun.objects.get().name == "copy"

    def test_a_draft_that_is_too_large_can_not_be_edited(self, admin_client, monkeypatch):
        monkeypatch.setattr(read, "MAX_NODES", 0)
        tree = TaskTree("large")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        assert "too many to be edited" in admin_client.get(edit_page(result), follow=True).content.decode()

    @pytest.mark.parametrize("missing", ["compose_treerun", "view_treerun", "view_noderun"])
    def test_editing_needs_its_permissions(self, staff, missing):
        allowed = {"view_treerun", "view_noderun", "compose_treerun"}
        tree = TaskTree("mine")
        tree.add_task(echo)
        result = tree.apply_async(draft=True)
        client = staff(*allowed - {missing})
        assert client.get(edit_page(result)).status_code == 403
        assert client.post(edit_page(result), form(node("a"))).status_code == 403
        assert client.get(NEW).status_code == (403 if missing == "compose_treerun" else 200)
        assert NodeRun.objects.get().task == echo.name

    def test_launching_needs_another_permission(self, staff):
        client = staff("view_treerun", "view_noderun", "compose_treerun")
        assert "_launch" not in client.get(NEW).content.decode()
        client.post(NEW, form(node("a"), _launch="Save and launch"))
        assert TreeRun.objects.get().state == "DRAFT"
        page = client.get(
            reverse("admin:django_tasktree_treerun_change", args=[TreeRun.objects.get().id])
        ).content.decode()
        assert "Edit draft…" in page
        assert "Launch…" not in page
