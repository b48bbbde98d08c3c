"""The actions as subcommands of ``manage.py tasktree``: previews, confirmation and outcomes."""

import builtins
import getpass
import json
import sys
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)


def tasktree(*args):
    """Run the command; return its output, and None or the exit code and message of its error."""
    out = StringIO()
    try:
        call_command("tasktree", *args, stdout=out)
    except CommandError as exc:
        return out.getvalue(), (exc.returncode, str(exc))
    return out.getvalue(), None


def launch(name="tree", task=echo, **options):
    """Launch a tree of two nodes, one below the other."""
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


@pytest.fixture
def at_a_terminal(monkeypatch):
    """Return a function that simulates a terminal at which a user gives one answer."""

    def answering(text):
        monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
        monkeypatch.setattr(builtins, "input", lambda: text)

    return answering


def test_an_action_is_previewed_and_confirmed(world, at_a_terminal):
    result = launch(task=fail)
    world.deliver_all("w")
    preview = f"tree  {result.id}: 2 nodes run again"
    at_a_terminal("n")
    assert tasktree("retry", str(result.id)) == (f"→ {preview}\nContinue? [y/N] ", None)
    assert result.state == "FAILURE"
    at_a_terminal("Yes")
    assert tasktree("retry", str(result.id)) == (f"→ {preview}\nContinue? [y/N] ✔ {preview}\n", None)
    assert result.state == "STARTED"
    entry = result.history[-1]
    assert (entry.action, entry.actor) == ("retry", f"{getpass.getuser()} (command line)")


def test_without_a_terminal_nothing_is_done(world):
    result = launch()
    out, (code, error) = tasktree("pause", str(result.id))
    assert code == 2
    assert error == "Refusing to run non-interactively without --yes; --dry-run only prints what would be done."
    assert f"→ tree  {result.id}: " in out
    assert result.state == "STARTED"


def test_a_dry_run_does_nothing(world):
    result = launch()
    out, ended = tasktree("revoke", str(result.id), "--dry-run")
    assert (out, ended) == (f"→ tree  {result.id}: 2 nodes are revoked\n", None)
    assert result.state == "STARTED"
    assert [entry.action for entry in result.history] == []


def test_each_action_of_runs(world, actions_in_sequence):
    result = launch(draft=True)
    for action, state in actions_in_sequence:
        out, ended = tasktree(action, str(result.id), "--yes")
        assert (ended, result.state) == (None, state), action
        assert out.startswith(f"✔ tree  {result.id}: ")
    world.deliver_all("w")
    assert result.state == "SUCCESS"


def test_each_action_of_nodes(world):
    result = launch(task=fail)
    top, below = NodeRun.objects.filter(run_id=result.id).order_by("id")
    assert tasktree("pause", str(below.id), "--yes")[1] is None
    assert NodeRun.objects.get(id=below.id).hold == "paused"
    assert tasktree("resume", str(below.id), "--yes")[1] is None
    world.deliver_all("w")
    assert tasktree("retry", str(top.id), "--yes")[1] is None
    world.deliver_all("w")
    assert tasktree("complete", str(top.id), "--yes", "--result", '{"some": [1]}')[1] is None
    world.deliver_all("w")
    assert result.state == "SUCCESS"
    assert result.children[0].get() == {"some": [1]}
    out, ended = tasktree("rerun", str(below.id), "--yes", "--format", "json")
    assert (json.loads(out)[0]["nodes"]["again"], ended) == (1, None)
    assert tasktree("revoke", str(below.id), "--yes")[1] is None
    assert NodeRun.objects.get(id=below.id).state == "REVOKED"


def test_an_impossible_action_is_reported_and_the_others_are_done(world):
    first, second = launch("first"), launch("second")
    first.pause()
    out, ended = tasktree("pause", str(first.id), str(second.id), "--yes")
    assert ended == (1, "1 of 2 refused")
    assert out.splitlines() == [
        f"✘ run {first.id} is PAUSED: only a started run can be paused",
        f"✔ second  {second.id}: done",
    ]
    assert second.state == "PAUSED"


def test_an_action_that_is_impossible_for_all_asks_nothing(world, at_a_terminal):
    at_a_terminal("y")
    result = launch()
    out, ended = tasktree("resume", str(result.id))
    assert "Continue?" not in out
    assert ended == (1, "1 of 1 refused")


def test_runs_are_selected_by_state_and_name(world):
    mine, other, ended = launch("mine"), launch("other"), launch("mine")
    ended.revoke()
    assert tasktree("pause", "--state", "started", "--name", "mine", "--yes")[1] is None
    assert [result.state for result in (mine, other, ended)] == ["PAUSED", "STARTED", "REVOKED"]
    assert tasktree("pause", "--name", "missing", "--yes") == ("No runs match.\n", None)


def test_outcomes_as_json(world):
    first, second = launch("first"), launch("second")
    first.pause()
    out, ended = tasktree("pause", str(first.id), str(second.id), "--yes", "--format", "json")
    refused, done = json.loads(out)
    assert ended == (1, "1 of 2 refused")
    assert (refused["id"], refused["done"]) == (str(first.id), False)
    assert "only a started run" in refused["not_possible"]
    assert (done["kind"], done["done"], done["nodes"]["held"]) == ("run", True, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["pause"], "no target: give IDs, or --state or --name"),
        (["pause", "{run}", "--state", "started"], "give either IDs or --state and --name"),
        (["pause", "xyz"], "'xyz' is not an ID or the beginning of one"),
        (["pause", "00000000"], "no run or node has an ID that begins with '00000000'"),
        (
            ["complete", "{run}"],
            "this needs the ID of a node, but '{run}' is that of a run: `manage.py tasktree show {run} --ids` lists",
        ),
        (["launch", "{node}"], "this needs the ID of a run, but '{node}' is that of a node"),
        (["complete", "{node}", "--result", "{{"], "--result: '{{' is not JSON"),
        (["complete", "{node}", "--result", "[NaN]"], "--result: '[NaN]' is not JSON (NaN is not a number of JSON)"),
        (["complete", "{node}", "--result", "1e999"], "--result: '1e999' is not JSON (the number 1e999 is too large)"),
        (["pause", "--state", "stated", "--yes"], "did you mean 'started'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(world, args, message):
    result = launch()
    names = {"run": result.id, "node": result.children[0].id}
    _, (code, error) = tasktree(*[arg.format(**names) for arg in args])
    assert code in (1, 2)
    assert message.format(**names) in error


def test_watch_prefers_active_runs(world, capsys):
    tree = TaskTree("waits")
    tree.wait_for("approval")
    active, waits, paused, ended = launch("active"), tree.apply_async(), launch("paused"), launch("ended")
    paused.pause()
    ended.revoke()
    for run in (active, waits, paused):
        with pytest.raises(SystemExit):
            tasktree("watch", "--timeout", "0.1")
        assert f"Following run {run.id} of {run.run.name}\n" in capsys.readouterr().err
        run.revoke()


def test_show_prints_ids_and_history(world):
    result = launch()
    result.pause(by="anna")
    result.children[0].revoke(by="bob")
    out, _ = tasktree("show", str(result.id), "--ids")
    assert f"⊘ echo(a)  {result.children[0].id}" in out
    *_, paused, revoked = out.splitlines()
    assert paused[21:] == "  pause, by anna"
    assert revoked[21:] == f"  revoke of node {result.children[0].id}, 2 nodes, by bob"
    described = json.loads(tasktree("show", str(result.id), "--format", "json")[0])
    assert [(entry["action"], entry["by"]) for entry in described["history"]] == [("pause", "anna"), ("revoke", "bob")]


def test_watch_follows_to_the_end(eager):
    result = launch()
    out, ended = tasktree("watch", str(result.id))
    assert ended is None
    assert "2 of 2 nodes" in out
    assert "✔ success  tree after" in out


def test_watch_follows_the_newest_open_run(world):
    launch("ended").revoke()
    result = launch("open")
    with pytest.raises(SystemExit) as left:
        tasktree("watch", "--timeout", "0.1")
    assert left.value.code == 1
    result.revoke()
    assert tasktree("watch")[1] == (
        2,
        "all runs have ended: give the ID of one; `manage.py tasktree list` shows the newest",
    )


def test_workers_are_listed_with_their_states(world, settings):
    settings.TASKTREE = {"WORKER_LOST_AFTER": 60}
    launch()
    world.start_worker("lost")
    world.kill_worker("lost")
    out, _ = tasktree("workers")
    # The last worker belongs to the simulation.
    heading, lost, alive, _witness = out.splitlines()
    assert heading.split()[:4] == ["Worker", "State", "Runs", "Pool"]
    assert lost.split()[:4] == ["lost", "✘", "lost", "0"]
    assert alive.split()[:4] == ["w", "●", "alive", "0"]
    found = json.loads(tasktree("workers", "--format", "json")[0])
    assert [(worker["hostname"], worker["alive"]) for worker in found[:2]] == [("lost", False), ("w", True)]


def test_no_workers(db):
    assert tasktree("workers")[0].startswith("No worker is running")
