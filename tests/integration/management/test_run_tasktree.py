"""``manage.py run_tasktree``: from the launch to the exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import ManagementUtility, call_command
from django.core.management.base import CommandError
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.management import follow
from django_tasktree.models import TreeRun, Worker
from django_tasktree.testing import registered
from tests import workers
from tests.patience import PATIENCE
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)


def good(word: str = "well", times: int = 1) -> TaskTree:
    """Say a word.

    The list of definitions shows only the first line.
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
def definitions():
    """Register only the definitions of this file."""
    with registered(good, bad, only=True):
        yield


def run(*args):
    """Return the command's exit code, stdout and stderr."""
    out, err = StringIO(), StringIO()
    try:
        call_command("run_tasktree", *args, stdout=out, stderr=err)
    except SystemExit as exc:
        return exc.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["good", "--word=fine"], "arguments: --word=fine: pass parameters as --param word=fine\n"),
        (["good", "--word", "fine"], "pass parameters as --param word=…"),
        (["good", "--word=a", "--times=2"], "--param word=a --param times=2"),
        (["good", "--paramm=word=fine"], "--paramm=word=fine: did you mean --param?"),
        (["--word=fine"], "unrecognized arguments: --word=fine"),
    ],
)
def test_a_parameter_that_is_passed_as_an_option_is_explained(capsys, words, hint):
    with pytest.raises(SystemExit) as caught:
        ManagementUtility(["manage.py", "run_tasktree", *words]).execute()
    assert caught.value.code == 2
    assert hint in capsys.readouterr().err
    assert not TreeRun.objects.exists()


def test_a_success_is_reported_in_plain_lines(eager):
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
    assert f"  … and 2 more failed nodes\n  see `manage.py tasktree show {TreeRun.objects.get().id}`\n" in out


def test_stdout_contains_only_json(eager):
    code, out, err = run("good", "--params-json", '{"times": 2}', "--param", "word=so", "--format", "json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["state"] == "SUCCESS"
    assert report["params"] == {"word": "so", "times": 2}
    assert report["progress"] == {"total": 5, "done": 5, "failed": 0, "by_state": {"SUCCESS": 5}}
    assert [(each["task"].rpartition(".")[2], each["result"]) for each in report["results"]] == [
        ("grow", 1),
        ("echo", {"said": "so"}),
        ("sum_up", 3),
    ]
    assert report["errors"] == []


def test_json_of_a_failure(eager):
    code, out, _ = run("bad", "--format", "json")
    report = json.loads(out)
    assert (code, len(report["errors"]), report["errors_left_out"]) == (1, 10, 2)
    assert report["errors"][0]["error"] == "CustomError: it broke in place 0"


def test_no_wait_prints_the_id_and_the_command_that_follows_the_run():
    code, out, err = run("good", "--no-wait")
    run_id = str(TreeRun.objects.get().id)
    assert (code, out.strip()) == (0, run_id)
    assert err.strip() == f"Follow it with: manage.py tasktree watch {run_id}"
    assert json.loads(run("good", "--no-wait", "--format", "json")[1])["state"] == "STARTED"


def test_a_key_launches_once(eager):
    run("good", "--key", "k")
    _, out, _ = run("good", "--key", "k")
    assert out.startswith(f"A run with this key exists: following run {TreeRun.objects.get().id} of good")


def test_a_timeout_ends_with_1_and_the_run_continues():
    code, out, err = run("good", "--timeout", "0.3")
    assert code == 1
    assert "had not ended after 0.3 s. The run continues" in err
    assert "0 of 2 nodes: 1 queued · 1 pending" in out
    assert TreeRun.objects.get().state == "STARTED"


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_ctrl_c_detaches_with_130(monkeypatch, options):
    poll = follow.poll

    def interrupted(run_id):
        # The run is being followed: before that, Ctrl-C ends the process.
        os.kill(os.getpid(), signal.SIGINT)
        return poll(run_id)

    monkeypatch.setattr(follow, "poll", interrupted)
    code, out, err = run("good", *options)
    run_id = TreeRun.objects.get().id
    assert code == 130
    assert err.splitlines() == [
        "Detached. The run continues on any Celery worker that is running.",
        f"Follow it with: manage.py tasktree watch {run_id}",
    ]
    assert not options or json.loads(out)["state"] == "STARTED"


def test_one_hint_is_printed_if_no_worker_starts_the_run(monkeypatch):
    monkeypatch.setattr(follow, "PATIENCE", 0.2)
    _, out, err = run("good", "--timeout", "0.9")
    assert (out + err).count("no Celery worker is running. Start one, or use --worker") == 1
    assert run("good", "--timeout", "0.5", "--format", "json")[2].count("no Celery worker is running") == 1


def test_the_hint_names_the_queues_of_running_workers(monkeypatch):
    monkeypatch.setattr(follow, "PATIENCE", 0.2)
    now = timezone.now()
    Worker.objects.create(
        id=uuid4(), hostname="w", pid=1, queues=["slow", "mail"], started_at=now, last_seen=now, beating_since=now
    )
    _, out, err = run("good", "--timeout", "0.9")
    hint = (
        "although 1 worker is running: all slots may be busy, or no worker consumes from the queue "
        "(consumed: mail, slow)"
    )
    assert hint in out + err


def test_the_embedded_worker_runs_the_tree(monkeypatch):
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
    code, out, err = run("good", "--worker", "--param", "times=3")
    assert (code, err) == (0, "")
    assert "6 nodes: 6 success" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "the name of the definition is missing"),
        (("god",), "no definition is registered as 'god': did you mean 'good'"),
        (("good", "--param", "wrod=x"), "did you mean 'word'"),
        (("good", "--param", "times=x"), "'x' is not a whole number"),
        (("good", "--params-json", "{"), "--params-json is not valid JSON"),
        (("good", "--params-json", '{"times": NaN}'), "--params-json is not valid JSON: NaN is not a number of JSON"),
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
        "good  Say a word.",
        '    --param word=…   word: str = "well"',
        "    --param times=…   times: int = 1",
    ]


def test_the_list_as_json():
    _, out, _ = run("--list", "--format", "json")
    assert json.loads(out) == [
        {"name": "bad", "description": "", "parameters": []},
        {
            "name": "good",
            "description": "Say a word.\n\nThe list of definitions shows only the first line.",
            "parameters": [
                {"name": "word", "type": "str", "required": False, "default": "well"},
                {"name": "times", "type": "int", "required": False, "default": 1},
            ],
        },
    ]


def test_defaults_in_the_list_are_values_for_params_json():
    def dated(day: date, days: list[date] = [date(2026, 2, 1)], pause: int | None = None) -> TaskTree:  # noqa: B006
        return good(f"{day} {days} {pause}")

    with registered(dated, only=True):
        (found,) = json.loads(run("--list", "--format", "json")[1])
        assert [each["default"] for each in found["parameters"]] == [None, ["2026-02-01"], None]
        assert [each["required"] for each in found["parameters"]] == [True, False, False]
        params = {each["name"]: each["default"] for each in found["parameters"]} | {"day": "2026-02-03"}
        assert run("dated", "--no-wait", "--params-json", json.dumps(params))[0] == 0
    assert TreeRun.objects.get().params == params


@registered(only=True)
def test_an_empty_list_as_json():
    assert json.loads(run("--list", "--format", "json")[1]) == []


@registered(only=True)
def test_an_empty_list_explains_how_to_register_a_tree():
    assert "@register_tree" in run("--list")[1]


def test_following_a_purged_run_is_an_error():
    result = TaskTree().apply_async()
    result.run.delete()
    with pytest.raises(LookupError, match="purged"):
        follow.poll(result.id)


def manage(tmp_path, *args, **options):
    """Start a command of the test project in a process of its own."""
    env = workers.environment("default", "filesystem://", "unused", TESTPROJECT_VAR=str(tmp_path))
    env |= {"DJANGO_SETTINGS_MODULE": "testproject.settings", "PYTHONUNBUFFERED": "1"}
    del env["DATABASE_URL"]
    command = [sys.executable, str(workers.ROOT / "manage.py"), *args]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_demo_interrupted_by_ctrl_c_is_continued_by_the_next_process(tmp_path):
    manage(tmp_path, "migrate", "-v0").communicate(timeout=PATIENCE)
    source = tmp_path / "source"
    for number in range(3000):
        (source / f"d{number}").mkdir(parents=True)
        (source / f"d{number}" / "file").write_text("x")
    command = ["run_tasktree", "inventory", "--param", f"path={source}", "--worker", "--key", "once"]
    process = manage(tmp_path, *command)
    while "queued" not in (line := process.stdout.readline()) or line.startswith("0 "):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "have not run yet wait for another worker" in err
    process = manage(tmp_path, *command)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "A run with this key exists" in out
    assert "files          3000" in out


_HANGING = """
import sys, time
import django; django.setup()
from django.core.management import execute_from_command_line
from django_tasktree import TaskTree, register_tree, task_with_callbacks
from django_tasktree.management.commands import run_tasktree

@task_with_callbacks(name="hangs")
def hangs():
    time.sleep(600)

@register_tree
def hanging():
    tree = TaskTree("hanging")
    tree.add_task(hangs)
    return tree

run_tasktree.GRACE = 0.5
execute_from_command_line(["manage.py", "run_tasktree", "hanging", "--worker", "--timeout", "1", *sys.argv[1:]])
"""


@pytest.mark.parametrize("options", [[], ["--concurrency", "2"], ["--format", "json"]])
def test_a_task_that_hangs_does_not_outlive_the_timeout(tmp_path, options):
    manage(tmp_path, "migrate", "-v0").communicate(timeout=PATIENCE)
    env = workers.environment("default", "memory://", "tests-hanging", TESTPROJECT_VAR=str(tmp_path))
    command = [sys.executable, "-c", _HANGING, *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1, done.stderr
    assert "had not ended after 1 s" in done.stderr
    assert "A task was still running 0.5 s later and is killed" in done.stderr
    if "json" in options:
        assert json.loads(done.stdout)["state"] == "STARTED"
