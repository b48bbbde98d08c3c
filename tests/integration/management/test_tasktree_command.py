"""The subcommands ``list`` and ``show`` of ``manage.py tasktree``, and wrong usage."""

import json
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import ManagementUtility, call_command
from django.core.management.base import CommandError
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, TreeRun
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)


def command(*args):
    """Run ``manage.py tasktree``, and return its output."""
    out = StringIO()
    call_command("tasktree", *args, stdout=out)
    return out.getvalue()


def launch(width=2, name="wide"):
    """Launch a root node that adds children, with a child that fails."""
    tree = TaskTree(name)
    root = tree.add_task(tasks.grow, [width, 1])
    root.add_task(tasks.fail, ["no\nluck"])
    return tree.apply_async()


def test_the_list_shows_the_newest_runs(eager):
    first, second = launch(name="one"), launch(name="two")
    heading, *lines = command("list").splitlines()
    assert heading.split() == ["ID", "Name", "State", "Nodes", "Failed", "Started", "Duration"]
    assert [line.split()[:6] for line in lines] == [
        [str(second.id), "two", "✘", "failure", "5", "1"],
        [str(first.id), "one", "✘", "failure", "5", "1"],
    ]
    assert len(command("list", "--limit", "1").splitlines()) == 2


def test_the_list_is_filtered_by_state(eager):
    launch()
    assert command("list", "--state", "Success") == "No runs match.\n"
    assert len(json.loads(command("list", "--state", "failure", "--format", "json"))) == 1
    with pytest.raises(CommandError, match="did you mean 'failure'"):
        command("list", "--state", "failur")


def test_an_empty_list_says_so():
    assert command("list") == "Nothing has been launched yet.\n"


def test_the_list_fits_the_terminal(monkeypatch):
    run = launch(name="a name that is much too long for a line " * 3).run
    other = launch(name="short").run
    TreeRun.objects.filter(id=other.id).update(started_at=timezone.now() - timedelta(days=3))
    tree = TaskTree("large")
    tree.apply_async()
    NodeRun.objects.bulk_create(NodeRun(run_id=run.id, task="t", state="SUCCESS") for _ in range(12_000))
    for columns in (64, 72, 80, 100, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = command("list", "--force-color").splitlines()
        plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
        assert len(plain) == 4
        assert max(map(len, plain)) <= columns
        assert "12,000/12,002" in plain[3]
        assert "short" in plain[2]
        assert str(run.id)[:13] in plain[3]


@pytest.mark.parametrize("runs", [1, 7])
def test_the_list_takes_three_queries(django_assert_num_queries, runs):
    for _ in range(runs):
        launch()
    for options in ([], ["--format", "json"]):
        with django_assert_num_queries(3):
            command("list", *options)


def test_show_draws_the_tree_with_errors(eager):
    result = launch()
    lines = command("show", str(result.id)).splitlines()
    assert lines[0].startswith("wide  ✘ failure")
    shape = [line.split(" ms")[0].rstrip("0123456789") for line in lines[1:6]]
    assert shape == [
        "✔ grow(2, 1) ",
        "├─ ✘ fail(no luck) ",
        "├─ ✔ grow(2, 0) ",
        "├─ ✔ grow(2, 0) ",
        "└─ - sum_up(subtree_outputs) gather",
    ]
    assert lines[2].endswith("CustomError: no luck")
    # Each error is shown once, without the advice to use the command that was used.
    assert sum("no luck" in line for line in lines) == 1
    assert not any("tasktree show" in line for line in lines)


def test_show_prints_how_many_nodes_are_left_out(eager):
    result = launch(width=30)
    text = command("show", str(result.id), "--limit", "5")
    assert "├─ … 26 more\n└─ - sum_up(subtree_outputs) gather" in text
    assert "Not all nodes are shown" in text
    assert "+32" in command("show", str(result.id), "--depth", "1")
    report = json.loads(command("show", str(result.id), "--limit", "5", "--format", "json"))
    assert [node["children_left_out"] for node in report["nodes"]] == [26, 0, 0, 0, 0, 0, 0]
    assert report["root_nodes_left_out"] == 0


def test_show_accepts_a_part_of_the_id():
    result = launch()
    key = str(result.id)
    for part in (key[:13], key.replace("-", "").upper(), key[:-1]):
        assert key in command("show", part)


def test_an_invalid_or_ambiguous_id_is_a_usage_error():
    runs = [launch(), launch()]
    for part, message in [
        ("xyz", "is not an ID"),
        ("", "is not an ID"),
        ("ff", "no run or node has an ID that begins with 'ff'"),
        (str(runs[0].id)[:1], "several runs"),
    ]:
        with pytest.raises(CommandError, match=message) as caught:
            command("show", part)
        assert caught.value.returncode == 2


@pytest.mark.parametrize(("width", "queries"), [(3, 12), (30, 14), (3000, 14)])
def test_query_count_of_show_does_not_depend_on_the_width(django_assert_num_queries, width, queries):
    tree = TaskTree()
    root = tree.add_task(tasks.echo)
    for _ in range(width):
        root.add_task(tasks.echo)
    result = tree.apply_async()
    with django_assert_num_queries(queries):
        lines = command("show", str(result.id)).splitlines()
    assert len(lines) < 30


def test_output_and_query_count_of_show_are_bounded_for_a_deep_tree(django_assert_max_num_queries):
    tree = TaskTree("deep")
    for _ in range(2000):
        tree.push(tasks.echo)
    result = tree.apply_async()
    with django_assert_max_num_queries(16):
        assert len(command("show", str(result.id)).splitlines()) < 15
    assert command("show", str(result.id), "--depth", "1500").count("echo") == 1000


def test_escape_sequences_are_not_sent_to_the_terminal():
    tree = TaskTree("\x1b[2Jname")
    tree.add_task(tasks.echo, ["\x1b[31mred"])
    run = tree.apply_async()
    NodeRun.objects.update(state="FAILURE", error_message="\x1b[5mblink")
    text = command("show", str(run.id)) + command("list")
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text


def test_without_a_subcommand_it_prints_help():
    assert "show" in command()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["retry", "1", "--dryrun"], "unrecognized arguments: --dryrun: did you mean --dry-run?"),
        (["show", "1", "--dpeth=3"], "unrecognized arguments: --dpeth=3: did you mean --depth?"),
        (["workers", "all"], "unrecognized arguments: all\n"),
    ],
)
def test_a_mistyped_option_is_a_usage_error(capsys, words, hint):
    with pytest.raises(SystemExit) as caught:
        ManagementUtility(["manage.py", "tasktree", *words]).execute()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: manage.py tasktree {words[0]} ")
    assert hint in error


def test_a_mistyped_subcommand_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        ManagementUtility(["manage.py", "tasktree", "shwo"]).execute()
    assert caught.value.code == 2
    assert "no subcommand 'shwo': did you mean 'show'?" in capsys.readouterr().err
    assert not TreeRun.objects.exists()


def test_show_has_the_result_of_a_run(eager):
    tree = TaskTree()
    node = tree.add_task(tasks.echo, [{"rows": 7}])
    tree.returns({"rows": node.output["rows"], "day": "Monday"})
    result = tree.apply_async()
    lines = command("show", str(result.id)).splitlines()
    assert [line.split() for line in lines[lines.index("  result") + 1 :]] == [["rows", "7"], ["day", "Monday"]]
    described = json.loads(command("show", str(result.id), "--format", "json"))
    assert described["result"] == {"rows": 7, "day": "Monday"}


def test_show_has_a_result_of_which_a_part_is_missing(eager):
    tree = TaskTree()
    missing = tree.add_task(tasks.echo).add_task(tasks.echo, run_when="failure")
    tree.returns({"x": missing.output["y"]})
    result = tree.apply_async()
    described = json.loads(command("show", str(result.id), "--format", "json"))
    assert described["result"] == {"x": f"<output['y'] of {result[missing].id}>"}


def test_show_has_a_result_of_a_type_that_is_unknown_here(eager):
    tree = TaskTree()
    node = tree.add_task(tasks.echo)
    tree.returns(node.output)
    result = tree.apply_async()
    NodeRun.objects.filter(run_id=result.id).update(result='{"__type__": "shop.price", "__value__": 3}')
    assert "Unsupported type" in json.loads(command("show", str(result.id), "--format", "json"))["result"]


def test_show_leaves_out_a_long_result(eager):
    tree = TaskTree()
    tree.returns(tree.add_task(tasks.echo, ["x" * 2_000]).output)
    result = tree.apply_async()
    assert json.loads(command("show", str(result.id), "--format", "json"))["result"] is None
