"""``manage.py run_tasktree``: from the launch to the exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from rich.console import Console

from django_tasktree import TaskTree
from django_tasktree.engine.claim import claim
from django_tasktree.engine.specs import NodeRef
from django_tasktree.management import following
from django_tasktree.management.display.views import LiveView, PlainView, QuietView
from django_tasktree.models import NodeRun, TreeRun, Worker
from django_tasktree.registry import Registry
from tests import workers
from tests.patience import PATIENCE
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)


def good(word: str = "well", times: int = 1) -> TaskTree:
    """Says a word.

    More often, too.
    """
    tree = TaskTree()
    root = tree.add_task(tasks.grow, [times, 1])
    root.gather(tasks.echo, [{"said": word}])
    return tree


def bad() -> TaskTree:
    tree = TaskTree()
    for number in range(12):
        tree.add_task(tasks.fail, [f"it broke in\nplace {number}"])
    return tree


@pytest.fixture(autouse=True)
def definitions(monkeypatch):
    registry = Registry()
    registry.add(good)
    registry.add(bad)
    monkeypatch.setattr("django_tasktree.registry.registry", registry)
    return registry


def run(*args):
    """Give the command's exit code, stdout and stderr."""
    out, err = StringIO(), StringIO()
    try:
        call_command("run_tasktree", *args, stdout=out, stderr=err)
    except SystemExit as exc:
        return exc.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_a_success_is_told_in_plain_lines(eager):
    code, out, err = run("good", "--param", "word=fine")
    run_id = TreeRun.objects.get().id
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"Launched good as run {run_id}"
    assert lines[1] == "4 of 4 nodes: 4 success"
    assert re.fullmatch(r"✔ success  good after \d+ ms, 4 nodes: 4 success", lines[2])
    assert lines[3:] == ["  grow: 1", "  echo", "    said  fine", "  sum_up: 2"]
    assert "\x1b" not in out


def test_a_failure_ends_with_1_and_shows_ten_errors(eager):
    code, out, _ = run("bad")
    assert code == 1
    assert out.count("fail(it broke in place") == 10
    assert "CustomError: it broke in place 0" in out
    assert f"… and 2 more failed nodes; see `manage.py tasktree show {TreeRun.objects.get().id}`" in out


def test_json_is_all_that_stands_on_stdout(eager):
    code, out, err = run("good", "--params-json", '{"times": 2}', "--param", "word=so", "--format", "json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["state"] == "SUCCESS"
    assert told["params"] == {"word": "so", "times": 2}
    assert told["progress"] == {"total": 5, "done": 5, "failed": 0, "by_state": {"SUCCESS": 5}}
    assert [(each["task"].rpartition(".")[2], each["result"]) for each in told["results"]] == [
        ("grow", 1),
        ("echo", {"said": "so"}),
        ("sum_up", 3),
    ]
    assert told["errors"] == []


def test_json_of_a_failure(eager):
    code, out, _ = run("bad", "--format", "json")
    told = json.loads(out)
    assert (code, len(told["errors"]), told["errors_left_out"]) == (1, 10, 2)
    assert told["errors"][0]["error"] == "CustomError: it broke in place 0"


def test_no_wait_prints_the_id_and_how_to_follow():
    code, out, err = run("good", "--no-wait")
    run_id = str(TreeRun.objects.get().id)
    assert (code, out.strip()) == (0, run_id)
    assert err.strip() == f"Follow it with: manage.py tasktree watch {run_id}"
    assert json.loads(run("good", "--no-wait", "--format", "json")[1])["state"] == "STARTED"


def test_a_key_launches_once(eager):
    run("good", "--key", "k")
    _, out, _ = run("good", "--key", "k")
    assert out.startswith(f"This key was launched before: following run {TreeRun.objects.get().id} of good")


def test_a_timeout_ends_with_1_and_the_run_goes_on():
    code, out, err = run("good", "--timeout", "0.3")
    assert code == 1
    assert "had not ended after 0.3 s. The run goes on" in err
    assert "0 of 2 nodes: 1 queued · 1 pending" in out
    assert TreeRun.objects.get().state == "STARTED"


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_ctrl_c_detaches_with_130(monkeypatch, options):
    def interrupted(*_):
        # While the run is followed: before that, Ctrl-C ends the process.
        os.kill(os.getpid(), signal.SIGINT)
        return 10

    monkeypatch.setattr(following, "_pause", interrupted)
    code, out, err = run("good", *options)
    run_id = TreeRun.objects.get().id
    assert code == 130
    assert err.splitlines() == [
        "Detached. The run goes on wherever a Celery worker runs.",
        f"Follow it with: manage.py tasktree watch {run_id}",
    ]
    assert not options or json.loads(out)["state"] == "STARTED"


def test_a_run_that_nothing_starts_earns_one_hint(monkeypatch):
    monkeypatch.setattr(following, "_PATIENCE", 0.2)
    _, out, err = run("good", "--timeout", "0.9")
    assert (out + err).count("no Celery worker runs. Start one, or use --worker") == 1
    assert run("good", "--timeout", "0.5", "--format", "json")[2].count("no Celery worker runs") == 1


def test_the_hint_says_what_is_known_of_workers(monkeypatch):
    monkeypatch.setattr(following, "_PATIENCE", 0.2)
    now = timezone.now()
    Worker.objects.create(
        id=uuid4(), hostname="w", pid=1, queues=["slow", "mail"], started_at=now, last_seen=now, beating_since=now
    )
    _, out, err = run("good", "--timeout", "0.9")
    assert "though 1 worker runs: all may be busy, or consume from other queues (theirs: mail, slow)" in out + err


def test_the_embedded_worker_runs_the_tree(monkeypatch):
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
    code, out, err = run("good", "--worker", "--param", "times=3")
    assert (code, err) == (0, "")
    assert "6 nodes: 6 success" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "which tree"),
        (("god",), "no tree is registered as 'god': did you mean 'good'"),
        (("good", "--param", "wrod=x"), "did you mean 'word'"),
        (("good", "--param", "times=x"), "'x' is not a whole number"),
        (("good", "--params-json", "{"), "--params-json is not valid JSON"),
        (("good", "--param", "word"), "--param takes name=value"),
        (("good", "--no-wait", "--worker"), "exclude each other"),
    ],
)
def test_wrong_usage_ends_with_2_and_launches_nothing(args, message):
    with pytest.raises(CommandError, match=message) as caught:
        run(*args)
    assert caught.value.returncode == 2
    assert not TreeRun.objects.exists()


def test_the_list_names_trees_purposes_and_parameters():
    _, out, _ = run("--list")
    assert out.splitlines() == [
        "bad",
        "good  Says a word.",
        '    --param word=…   word: str = "well"',
        "    --param times=…   times: int = 1",
    ]


def test_an_empty_list_tells_how_to_register_a_tree(monkeypatch):
    monkeypatch.setattr("django_tasktree.registry.registry", Registry())
    assert "@register_tree" in run("--list")[1]


def test_a_run_that_is_purged_meanwhile_is_an_error():
    result = TaskTree().apply_async()
    result.run.delete()
    with pytest.raises(LookupError, match="purged"):
        following.look(result.id)


def terminal(**options):
    return Console(file=StringIO(), force_terminal=True, width=100, height=20, highlight=False, **options)


def start(node_id):
    node = NodeRun.objects.get(id=node_id)
    ref = NodeRef(node.id, node.run_id, node.parent_id, node.task_id, node.child_count)
    assert claim(ref, "w1")


def launch_wide(width):
    tree = TaskTree()
    root = tree.add_task(tasks.echo)
    for number in range(width):
        root.add_task(tasks.echo, [number])
    result = tree.apply_async()
    NodeRun.objects.filter(id=result[root].id).update(state="SUCCESS")
    NodeRun.objects.filter(parent_id=result[root].id).update(state="QUEUED")
    return result, result[root].children


def shown(view, result):
    view.console.file.truncate(0)
    view.show(*following.look(result.id))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", view.console.file.getvalue())


def test_the_live_view_shows_a_small_tree_whole():
    result, _ = launch_wide(3)
    with LiveView(terminal(), result.id) as view:
        text = shown(view, result)
    assert "1 of 4 nodes" in text
    assert "├─ ◦ echo(0)" in text
    assert "└─ ◦ echo(2)" in text


def test_the_live_view_of_a_large_tree_prefers_what_runs_or_failed():
    result, nodes = launch_wide(300)
    start(nodes[250].id)
    NodeRun.objects.filter(id=nodes[270].id).update(state="FAILURE", error_message="no luck")
    with LiveView(terminal(), result.id) as view:
        text = shown(view, result)
    assert "▶ echo(250)" in text
    assert "✘ echo(270)" in text
    assert "no luck" in text
    assert re.search(r"✔ echo\(\).* \+29\d", text)
    assert len([line for line in text.splitlines() if "echo" in line]) <= 15


@pytest.mark.parametrize("width", [3, 30, 600])
def test_a_look_takes_few_queries_however_large_the_tree(django_assert_max_num_queries, width):
    result, nodes = launch_wide(width)
    start(nodes[0].id)
    with LiveView(terminal(), result.id) as view:
        for _ in range(2):
            with django_assert_max_num_queries(8):
                shown(view, result)


def test_a_look_at_a_deep_tree_takes_few_queries(django_assert_max_num_queries):
    tree = TaskTree()
    for _ in range(300):
        tree.push(tasks.echo)
    result = tree.apply_async()
    rows = list(NodeRun.objects.order_by("id"))
    NodeRun.objects.filter(id__in=[row.id for row in rows[:-1]]).update(state="SUCCESS")
    NodeRun.objects.filter(id=rows[-1].id).update(state="STARTED")
    with LiveView(terminal(), result.id) as view, django_assert_max_num_queries(14):
        text = shown(view, result)
    assert "▶ echo()" in text


@pytest.mark.parametrize(("view", "queries"), [(PlainView, 2), (QuietView, 2)])
def test_plain_and_quiet_views_count_only(django_assert_num_queries, view, queries):
    result, _ = launch_wide(3)
    with view(Console(file=StringIO()), result.id) as shown_by, django_assert_num_queries(queries):
        shown_by.show(*following.look(result.id))


def manage(tmp_path, *args, **options):
    env = workers.environment("default", "filesystem://", "unused", TESTPROJECT_VAR=str(tmp_path))
    env |= {"DJANGO_SETTINGS_MODULE": "testproject.settings", "PYTHONUNBUFFERED": "1"}
    del env["DATABASE_URL"]
    command = [sys.executable, str(workers.ROOT / "manage.py"), *args]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_one_process_runs_the_demo_and_ctrl_c_leaves_it_to_the_next(tmp_path):
    manage(tmp_path, "migrate", "-v0").communicate(timeout=PATIENCE)
    source = tmp_path / "source"
    for number in range(500):
        (source / f"d{number}").mkdir(parents=True)
        (source / f"d{number}" / "file").write_text("x")
    command = ["run_tasktree", "inventory", "--param", f"path={source}", "--worker", "--key", "once"]
    process = manage(tmp_path, *command)
    while "queued" not in (line := process.stdout.readline()) or line.startswith("0 "):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "leaves undone waits until another one runs" in err
    process = manage(tmp_path, *command)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "This key was launched before" in out
    assert "files          500" in out
