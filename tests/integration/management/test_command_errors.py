"""Commands report errors by a sentence and an exit code, and JSON on stdout is never mixed with other output."""

import json
import os
import subprocess
import sys
from textwrap import dedent
from unittest.mock import Mock

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError

from django_tasktree.management.subcommands import list_runs
from tests.workers import ROOT

SETUP = """
import os, sys
import django
django.setup()
from django.core.management import execute_from_command_line
from django_tasktree import TaskTree, register_tree, task_with_callbacks

@task_with_callbacks(name="noisy")
def noisy():
    print("a line")
    sys.__stdout__.write("without a flush")
    os.system("echo of another program")
    return 1

@task_with_callbacks(name="takes")
def takes(value): ...

@register_tree
def prints(times: int = 1):
    print("while it is built")
    tree = TaskTree("prints")
    for _ in range(times):
        tree.add_task(noisy)
    return tree

@register_tree
def raises():
    def helper():
        raise KeyError("no such day")
    helper()

@register_tree
def returns():
    return "a tree"

@register_tree
def unstorable():
    tree = TaskTree()
    tree.add_task(takes, [{1, 2}])
    return tree

@register_tree
def refuses():
    TaskTree().add_task(takes, [1], queu="x")

"""


@pytest.fixture
def manage(tmp_path):
    """Return a function that runs a command in a process of its own."""
    env = {**os.environ, "TESTPROJECT_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "testproject.settings"}
    env |= {"PYTHONPATH": str(ROOT), "CELERY_SKIP_CHECKS": "1", "COLUMNS": "80"}

    def run(*words, migrate=True):
        script = dedent(SETUP)
        if migrate:
            script += "execute_from_command_line(['manage.py', 'migrate', '-v', '0'])\n"
        script += f"execute_from_command_line(['manage.py', *{words!r}])\n"
        return subprocess.run(
            [sys.executable, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_output_of_tasks_is_not_mixed_with_json(manage):
    done = manage("run_tasktree", "prints", "--worker", "--format", "json")
    assert json.loads(done.stdout)["state"] == "SUCCESS"
    for text in ("while it is built", "a line", "without a flush", "of another program"):
        assert text in done.stderr
    assert done.returncode == 0


def test_without_json_the_output_of_tasks_goes_to_stdout(manage):
    done = manage("run_tasktree", "prints", "--worker")
    for text in ("while it is built", "a line", "of another program", "1 of 1 node: 1 success"):
        assert text in done.stdout


def test_json_of_another_command(manage):
    manage("run_tasktree", "prints", "--no-wait")
    done = manage("tasktree", "list", "--format", "json")
    assert [run["name"] for run in json.loads(done.stdout)] == ["prints"]


@pytest.mark.parametrize(
    "option", ["--skip-checks", "--no-color", "--traceback", "-v=2", "--verbosity=0", "--settings=tests.settings"]
)
def test_options_of_every_command_may_follow_the_subcommand(manage, option):
    done = manage("tasktree", "list", option)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "returns",
            "CommandError: __main__.returns, which defines 'returns', returned 'a tree' of type str: it must",
        ),
        ("unstorable", "CommandError: the argument 'value' of task 'takes' can't be stored: it is a set: pass a list"),
        ("refuses", "CommandError: a node has no option 'queu'; did you mean 'queue'"),
    ],
)
def test_refusals_are_sentences(manage, name, text):
    done = manage("run_tasktree", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(text), done.stderr
    assert "Traceback" not in done.stderr
    with_traceback = manage("run_tasktree", name, "--traceback")
    assert "Traceback" in with_traceback.stderr
    assert with_traceback.returncode != 0


def test_an_error_inside_a_definition_has_its_traceback(manage):
    done = manage("run_tasktree", "raises")
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == [
        "KeyError: 'no such day'",
        "CommandError: __main__.raises, which defines 'raises', raised KeyError: 'no such day'",
    ]
    # The traceback begins at the definition: the frames above it are not the user's.
    assert "django_tasktree" not in "".join(lines[:-1])


@pytest.mark.parametrize(
    "words",
    [
        ("run_tasktree", "prints"),
        ("run_tasktree", "prints", "--worker"),
        ("run_tasktree", "prints", "--key", "k"),
        ("tasktree", "list"),
        ("tasktree", "watch"),
        ("tasktree", "workers"),
        ("tasktree", "sweep"),
        ("tasktree", "purge", "--older-than", "1d"),
        ("tasktree", "show", "0199"),
        ("tasktree", "pause", "0199"),
    ],
    ids=" ".join,
)
def test_missing_migrations_are_reported(manage, words):
    done = manage(*words, migrate=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "migration(s) of django_tasktree and django_celery_results are not applied to the database 'default': "
        "run manage.py migrate"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run_tasktree", "prints"),
        ("run_tasktree", "prints", "--worker", "--format", "json"),
        ("tasktree", "list"),
        ("tasktree", "watch"),
        ("tasktree", "workers"),
        ("tasktree", "sweep"),
        ("tasktree", "purge", "--older-than", "1d"),
        ("tasktree", "show", "0199"),
        ("tasktree", "pause", "0199"),
    ],
    ids=" ".join,
)
def test_a_database_that_can_not_be_opened_is_reported_in_a_line(manage, tmp_path, words):
    (tmp_path / "db.sqlite3").mkdir()
    done = manage(*words, migrate=False)
    assert (done.returncode, done.stdout.replace("while it is built\n", "")) == (1, "")
    assert done.stderr.splitlines()[-1] == "CommandError: the database reports an error: unable to open database file"
    assert "Traceback" not in done.stderr


def test_with_traceback_an_error_of_the_database_has_its_cause(manage, tmp_path):
    (tmp_path / "db.sqlite3").mkdir()
    done = manage("tasktree", "list", "--traceback", migrate=False)
    assert done.returncode == 1
    assert "django.db.utils.OperationalError: unable to open database file" in done.stderr
    assert "CommandError: the database reports an error" in done.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (
            OperationalError("connection to server failed\n\tIs it running"),
            "connection to server failed Is it running",
        ),
        (OperationalError(2002, "Can't connect"), r"\(2002, .Can't connect.\)"),
        (InterfaceError("connection already closed"), "connection already closed"),
    ],
    ids=repr,
)
def test_an_error_of_a_database_server_is_one_line(monkeypatch, exc, text):
    monkeypatch.setattr(list_runs, "handle", Mock(side_effect=exc))
    with pytest.raises(CommandError, match=f"^the database reports an error: {text}$") as raised:
        call_command("tasktree", "list")
    assert (raised.value.returncode, raised.value.__cause__) == (1, exc)


@pytest.mark.django_db
@pytest.mark.parametrize("exc", [ProgrammingError("column x does not exist"), OperationalError("no such column: x")])
def test_a_wrong_statement_keeps_its_traceback(monkeypatch, exc):
    monkeypatch.setattr(list_runs, "handle", Mock(side_effect=exc))
    with pytest.raises(type(exc), match=str(exc)):
        call_command("tasktree", "list")
