"""The documentation says what the code does: its examples run, its tables are those of the code."""

import ast
import re
import unittest

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.dispatch import Signal
from django.test import RequestFactory, TestCase

import django_tasktree.signals
from django_tasktree import TreeResult
from django_tasktree.citizens import OPTIONS
from django_tasktree.conf import _KEYS
from django_tasktree.management.commands.tasktree import SUBCOMMANDS
from django_tasktree.models import TreeRun
from django_tasktree.states import NODE_FINAL, NODE_MOVES, RunState, RunWhen
from django_tasktree.testing import pytest_plugin
from tests import documents

PAGES = sorted(documents.DOCS.glob("*.rst"))


@pytest.fixture
def project(monkeypatch, eager):
    with documents.project(monkeypatch):
        yield


@pytest.fixture
def shop(project):
    """The README's example project, which the pages use too."""
    documents.run([example for example in documents.examples(documents.README) if example.module], "docs_readme")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, project, request):
    found = documents.examples(page)
    if not any(example.module for example in found):
        request.getfixturevalue("shop")
    documents.run(found, f"docs_{page.stem}")


@pytest.mark.django_db(transaction=True)
def test_the_views_of_the_page_about_launching(shop, django_user_model):
    names = documents.run(documents.examples(documents.DOCS / "launching.rst"), "docs_launching")
    request = RequestFactory().post("/")
    request.user = django_user_model.objects.create(username="u")
    run_id = ast.literal_eval(names["start"](request).content.decode())["run"]
    assert TreeRun.objects.get(id=run_id).launched_by == request.user
    assert ast.literal_eval(names["status"](request, run_id).content.decode()) == {
        "state": "SUCCESS",
        "done": 1,
        "total": 1,
    }


@pytest.mark.django_db
def test_the_way_to_test_trees_inside_a_transaction(shop, django_capture_on_commit_callbacks):
    from shop.trees import nightly_report

    with django_capture_on_commit_callbacks(execute=True):
        result = nightly_report("2026-01-31").apply_async()
    assert TreeResult(result.id).state == "SUCCESS"


@pytest.mark.django_db(transaction=True)
def test_the_tests_of_the_page_about_testing(shop, run_tree):
    names = documents.run(documents.examples(documents.DOCS / "testing.rst"), "docs_testing")
    cases = [value for value in names.values() if isinstance(value, type) and issubclass(value, TestCase)]
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    outcome = suite.run(unittest.TestResult())
    assert outcome.testsRun == 3
    assert outcome.wasSuccessful(), [*outcome.errors, *outcome.failures]
    names["test_the_report"](run_tree)
    assert names["pytest_plugins"] == [pytest_plugin.__name__]


def test_the_table_of_node_states():
    rows = documents.table(documents.DOCS / "states.rst", "node states")
    told = {documents.literals(state)[0]: moves for state, _, moves in rows}
    assert {state: set(documents.literals(moves)) for state, moves in told.items()} == NODE_MOVES
    assert {state for state, moves in told.items() if moves.startswith("final")} == NODE_FINAL


def test_the_table_of_run_states():
    rows = documents.table(documents.DOCS / "states.rst", "run states")
    assert {documents.literals(state)[0] for state, _ in rows} == {*RunState.values}


def test_the_table_of_settings():
    rows = documents.table(documents.DOCS / "settings.rst", "settings")
    told = [(documents.literals(key)[0], ast.literal_eval(default.strip("`"))) for key, default, _ in rows]
    assert told == list(_KEYS.items())


def test_every_public_name_is_on_the_page_of_the_api():
    text = (documents.DOCS / "api.rst").read_text(encoding="utf-8")
    told = re.findall(r"^\.\. auto(?:class|function):: django_tasktree\.(\w+)$", text, re.MULTILINE)
    assert sorted(told) == sorted(django_tasktree.__all__)


def test_every_signal_is_documented():
    own = {name for name, value in vars(django_tasktree.signals).items() if isinstance(value, Signal)}
    api = (documents.DOCS / "api.rst").read_text(encoding="utf-8")
    page = (documents.DOCS / "signals.rst").read_text(encoding="utf-8")
    assert set(re.findall(r"^\.\. py:data:: django_tasktree\.signals\.(\w+)$", api, re.MULTILINE)) == own
    assert set(re.findall(r"^ {4}\* - ``(\w+)``$", page, re.MULTILINE)) == own


def test_every_option_of_a_node_is_documented():
    text = (documents.DOCS / "trees.rst").read_text(encoding="utf-8")
    section = text.partition(".. _node-options:")[2].partition(".. _run-when:")[0]
    rows = [line.partition("  ")[0] for line in section.splitlines() if line.startswith("``") and "  " in line]
    assert set(documents.literals(" ".join(rows))) == OPTIONS


def test_every_value_of_run_when_is_documented():
    text = (documents.DOCS / "trees.rst").read_text(encoding="utf-8")
    assert all(f'\n``"{value}"``' in text for value in RunWhen.values)


@pytest.mark.parametrize("name", ["run_tasktree", *(f"tasktree {name}" for name in SUBCOMMANDS)])
def test_every_option_of_a_command_is_documented(name):
    text = (documents.DOCS / "commands.rst").read_text(encoding="utf-8")
    _, *parts = re.split(r"^\.\. commands (.*)$", text, flags=re.MULTILINE)
    told = {one: section for names, section in zip(parts[::2], parts[1::2], strict=True) for one in names.split(", ")}
    terms = re.findall(r"^``--.*$", told[name].partition("\n===")[0], re.MULTILINE)
    assert set(re.findall(r"``(--[\w-]+)", " ".join(terms))) == _options(name)


def _options(name):
    command, *subcommand = name.split()
    parser = load_command_class("django_tasktree", command).create_parser("manage.py", command)
    if subcommand:
        (choices,) = [action.choices for action in parser._actions if action.dest == "subcommand"]
        parser = choices[subcommand[0]]
    options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    base = BaseCommand().create_parser("manage.py", "base")
    return options - {option for action in base._actions for option in action.option_strings}


def test_every_permission_of_the_models_is_documented():
    text = (documents.DOCS / "admin.rst").read_text(encoding="utf-8")
    own = {codename for codename, _ in TreeRun._meta.permissions}
    assert set(re.findall(r"^``django_tasktree\.(\w+)``", text, re.MULTILINE)) == own | {
        "view_treerun",
        "view_noderun",
        "view_worker",
        "delete_treerun",
    }
