"""Every interface that offers actions offers exactly those of the table, with the same options."""

import asyncio
import inspect
from pathlib import Path

import pytest
from django.contrib import admin
from django.core.management import CommandParser
from django.db import connections
from django.urls import reverse

from django_tasktree import NodeResult, TaskTree, TreeResult, bulk
from django_tasktree.admin.base import ReadOnlyAdmin
from django_tasktree.admin.pages.control import ControlPage
from django_tasktree.client.bulk import Bulk, check_action
from django_tasktree.control.actions import ACTIONS, node_actions, run_actions
from django_tasktree.control.forms import ControlForm
from django_tasktree.exceptions import NotPossible
from django_tasktree.management.commands.tasktree import SUBCOMMANDS
from django_tasktree.management.subcommands.control import ActionCommand
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.models.history_entry import Action
from django_tasktree.states import NodeState, RunState
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.usefixtures("own_messages")

DOCS = Path(__file__).resolve().parents[3] / "docs"
HANDLES = [(TreeResult, run_actions), (NodeResult, node_actions), (Bulk, lambda: ACTIONS)]
#: Methods with a parameter ``by`` that are no actions of the table.
OTHER_METHODS = {
    *("add_task", "gather", "map", "wait_for", "sleep", "add_tree", "add_run"),
    *("in_background", "send_event"),
}
#: The arguments of every subcommand that carries out an action.
COMMON_ARGUMENTS = {"id", "dry_run", "yes", "format"}


def parameters(method):
    """Return the parameters of a method by name, without ``self`` and ``by``."""
    found = dict(inspect.signature(method).parameters)
    del found["self"]
    return {name: found[name] for name in found if name != "by"}


def methods(handle):
    """Return the public methods of a class that have a parameter ``by``."""
    found = dict(inspect.getmembers(handle, inspect.isfunction))
    return {
        name: method
        for name, method in found.items()
        if not name.startswith("_")
        and not inspect.iscoroutinefunction(method)
        and "by" in inspect.signature(method).parameters
    }


@pytest.mark.parametrize(("handle", "of_table"), HANDLES)
def test_handles_have_the_actions_of_the_table(handle, of_table):
    found = methods(handle)
    assert found.keys() - OTHER_METHODS == of_table().keys()
    for name, action in of_table().items():
        options = {*action.options, *(action.run_options if handle is TreeResult else ())}
        assert parameters(found[name]).keys() == options, name
        by = inspect.signature(found[name]).parameters["by"]
        assert (by.kind, by.default) == (by.KEYWORD_ONLY, None), name
        assert found[name].__doc__, name


@pytest.mark.parametrize(("handle", "of_table"), HANDLES)
def test_async_twins_have_the_same_signatures(handle, of_table):
    for name in [*methods(handle), "preview"]:
        twin = getattr(handle, f"a{name}")
        assert inspect.iscoroutinefunction(twin), name
        assert inspect.signature(twin) == inspect.signature(getattr(handle, name)), name


def test_signatures_are_written_out():
    for handle, of_table in HANDLES:
        for name in of_table():
            for each in (getattr(handle, name), getattr(handle, f"a{name}")):
                code = inspect.unwrap(each).__code__
                assert code is each.__code__
                assert inspect.signature(each).return_annotation is not inspect.Signature.empty


def test_background_actions_are_checked_against_the_table():
    for model, of_table in ((TreeRun, run_actions()), (NodeRun, node_actions())):
        for name, action in of_table.items():
            check_action(model, name, dict.fromkeys(action.options))
            with pytest.raises(TypeError, match=f"{name}: "):
                check_action(model, name, {"nonsense": 1})
        for name in ACTIONS.keys() - of_table.keys():
            with pytest.raises(ValueError, match="there is no action"):
                check_action(model, name, {})


def test_there_is_a_subcommand_for_each_action():
    commands = {name: command for name, command in SUBCOMMANDS.items() if isinstance(command, ActionCommand)}
    assert commands.keys() == ACTIONS.keys()
    for name, command in commands.items():
        parser = CommandParser()
        command.add_arguments(parser)
        taken = {each.dest for each in parser._actions} - {"help"}
        of_runs = {"state", "name"} if name in run_actions() else set()
        # Another way to give the result.
        of_runs |= {"param"} if "result" in ACTIONS[name].options else set()
        assert taken == COMMON_ARGUMENTS | of_runs | set(ACTIONS[name].options), name


def test_forms_have_the_options_of_the_action():
    for action in ACTIONS.values():
        assert tuple(ControlForm(action).fields) == action.options


def launch(task=echo, **options):
    """Launch a run of two nodes."""
    tree = TaskTree("tree")
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


@pytest.mark.django_db(transaction=True)
def test_views_accept_the_actions_of_the_table(world, admin_client):
    result = launch()
    for kind, row, of_table in (("run", result, run_actions()), ("node", result.children[0], node_actions())):
        for name in (*ACTIONS, "explode"):
            page = reverse(f"tasktree:control_{kind}", args=[row.id, name])
            response = admin_client.post(page, {"preview": "yes"})
            assert (response.status_code != 404) is (name in of_table), (kind, name)


@pytest.mark.django_db(transaction=True)
def test_the_admin_has_a_page_for_each_action(world, admin_client):
    result = launch()
    for kind, row, of_table in (("treerun", result, run_actions()), ("noderun", result.children[0], node_actions())):
        for name in (*ACTIONS, "explode"):
            page = reverse(f"admin:django_tasktree_{kind}_control", args=[row.id, name])
            assert (admin_client.get(page).status_code != 404) is (name in of_table), (kind, name)


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "of_table"), [(TreeRun, run_actions), (NodeRun, node_actions)])
def test_the_lists_of_the_admin_offer_each_action(rf, admin_user, model, of_table):
    pages = admin.site.get_model_admin(model)
    assert isinstance(pages, ReadOnlyAdmin)
    request = rf.get("/")
    request.user = admin_user
    offered = {name.removesuffix("_chosen").removesuffix("_selected") for name in pages.get_actions(request)}
    assert offered == of_table().keys()
    page = pages.page("control", ControlPage, request)
    for action in of_table().values():
        assert page.has_action_permission(request, action)


def test_each_action_is_offered_in_some_state():
    """It fits some state of a run, or of a node and its run."""
    runs = [TreeRun(state=state) for state in RunState]
    nodes = [
        NodeRun(state=state, settled=settled, hold=hold, subtree_failed=subtree_failed)
        for state in NodeState
        for settled in (False, True)
        for hold in ("", "paused")
        for subtree_failed in (False, True)
    ]
    inactive = [run for run in runs if run.state not in (RunState.STARTED, RunState.PAUSED, RunState.CHANGING)]
    for action in ACTIONS.values():
        assert action.may_fit_run or action.may_fit_node
        if action.may_fit_run:
            # Whether an open run can be retried depends on its nodes.
            candidates = inactive if action.name == "retry" else runs
            assert {action.may_fit_run(run) for run in candidates} == {False, True}, action.name
        if action.may_fit_node:
            assert any(action.may_fit_node(node, run) for node in nodes for run in runs), action.name


def test_the_history_can_record_each_action():
    assert ACTIONS.keys() - {"delete"} <= set(Action.values)


def test_the_documentation_names_each_action():
    control = (DOCS / "control.rst").read_text()
    commands = (DOCS / "commands.rst").read_text()
    views = (DOCS / "views.rst").read_text()
    for name in ACTIONS:
        assert f"``{name}(" in control, name
        assert f"tasktree {name}" in commands, name
        assert f"``{name}``" in views, name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", run_actions())
@pytest.mark.parametrize("state", ["draft", "started", "revoked"])
def test_a_preview_equals_the_action_on_a_run(world, name, state):
    result = launch(fail, draft=state == "draft")
    if state == "revoked":
        result.revoke()

    def outcome_of(act):
        try:
            found = act()
        except NotPossible as exc:
            return str(exc)
        return None if name == "copy" else found

    previewed = outcome_of(lambda: result.preview(name))
    assert outcome_of(getattr(result, name)) == previewed


@pytest.mark.django_db(transaction=True)
def test_async_twins_do_the_same(world):
    result, draft = launch(fail), launch(draft=True)
    node = result.children[0]
    ended = launch()
    ended.revoke()

    async def main():
        previewed = await result.apreview("pause")
        assert await result.apause(by="kim") == previewed
        await result.aresume()
        await draft.alaunch()
        copied = await ended.acopy(by="kim")
        added, gather = await copied.aadd_task(echo, ["c"]), await copied.agather(echo, ["d"])
        await added.arevoke(terminate=True)
        await ended.adelete()
        await node.acomplete({"some": 1})
        await node.arerun()
        await result.arevoke()
        assert await result.apreview("retry") == await result.aretry(by="kim")
        return added, gather

    try:
        added, gather = asyncio.run(main())
    finally:
        connections.close_all()
    assert (added.state, gather.node.is_gather) == ("REVOKED", True)
    assert [entry.action for entry in result.history] == ["pause", "resume", "complete", "rerun", "revoke", "retry"]
    assert (draft.state, TreeRun.objects.filter(id=ended.id).exists()) == ("STARTED", False)


@pytest.mark.django_db(transaction=True)
def test_async_twins_of_bulk_actions(world):
    results = [launch() for _ in range(2)]
    runs, nodes = bulk(TreeRun.objects.all()), bulk(NodeRun.objects.filter(parent=None))

    async def main():
        found = [await runs.apreview("pause"), await runs.apause(by="kim"), await runs.aresume(), await runs.arevoke()]
        found += [await runs.aretry(), await nodes.acomplete(7), await nodes.arerun()]
        background = await runs.ain_background("revoke", by="kim")
        return [len(each.done) for each in found], background

    try:
        done, background = asyncio.run(main())
    finally:
        connections.close_all()
    assert done == [2] * 7
    world.deliver_all("w")
    assert (background.state, {result.state for result in results}) == ("SUCCESS", {"REVOKED"})
