"""The documentation matches the code: its examples run, and its tables list what the code defines."""

import ast
import re
import unittest
from datetime import date
from typing import Any

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.dispatch import Signal
from django.test import RequestFactory, TestCase
from django.urls import reverse

import django_tasktree.signals
from django_tasktree import TreeResult
from django_tasktree.admin import NodeRunAdmin, TreeRunAdmin
from django_tasktree.builder.calls import OPTIONS
from django_tasktree.conf import KEYS
from django_tasktree.management.commands.tasktree import SUBCOMMANDS
from django_tasktree.models import TreeRun
from django_tasktree.states import (
    INITIAL_STATES,
    NODE_FINAL,
    NODE_TRANSITIONS,
    RUN_FINAL,
    RUN_TRANSITIONS,
    NodeState,
    RunState,
    RunWhen,
)
from django_tasktree.testing import pytest_plugin
from docs.diagrams import fields
from tests import documents

PAGES = sorted(documents.DOCS.glob("*.rst"))


@pytest.fixture
def project(monkeypatch, eager):
    """Undo after the test what the examples register."""
    with documents.project(monkeypatch):
        yield


@pytest.fixture
def shop(project):
    """Run the README's example project, which the pages use too."""
    documents.run([example for example in documents.examples(documents.README) if example.module], "docs_readme")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, project, request):
    found = documents.examples(page)
    if not any((example.module or "").startswith(f"{documents.APP}.") for example in found):
        request.getfixturevalue("shop")
    documents.run(found, f"docs_{page.stem}")


@pytest.mark.django_db(transaction=True)
def test_the_views_of_the_page_about_launching_work(shop, django_user_model):
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
def test_the_documented_way_to_test_trees_inside_a_transaction_works(shop, django_capture_on_commit_callbacks):
    from shop.trees import daily_orders  # type: ignore[import-not-found]

    with django_capture_on_commit_callbacks(execute=True):
        result = daily_orders("2026-01-31").apply_async()
    assert TreeResult(result.id).state == "SUCCESS"


@pytest.fixture
def recipes(project):
    """Run the page of recipes, and return its names."""
    return documents.run(documents.examples(documents.DOCS / "recipes.rst"), "docs_recipes")


@pytest.mark.django_db(transaction=True)
def test_a_colleague_answers_in_the_admin_as_in_the_recipe(recipes, client, django_user_model):
    run = recipes["sales_report"](date(2026, 1, 30), "jo@example.org").apply_async()
    colleague = django_user_model.objects.create(username="anna", is_staff=True)
    client.force_login(colleague)
    waiting = reverse("admin:django_tasktree_noderun_waiting")
    assert client.get(waiting).status_code == 403
    colleague.groups.add(recipes["approvers"])
    page = client.get(waiting).content.decode()
    (complete,) = re.findall(r'class="button" href="(\S+/control/complete/)"', page)
    assert "Publish the sales of 2026-01-30?" in page
    answer = {"confirmed": "yes", "payload-verdict": "no", "payload-reason": "too late"}
    client.post(complete, answer)
    assert run.value(timeout=30) == "discarded: too late"


@pytest.mark.django_db(transaction=True)
def test_the_page_of_the_recipe_polls_until_the_run_has_ended(recipes, client):
    run = recipes["nightly_sales"](date(2026, 1, 30)).apply_async(draft=True)
    client.get("/sales/")
    session = client.session
    session["sales"] = str(run.id)
    session.save()
    page = client.get("/sales/progress/").content.decode()
    (status,) = re.findall(r'data-tasktree-status="(\S+)"', page)
    assert 'data-tasktree-reload="1"' in page
    assert client.get(status).json()["state"] == "DRAFT"
    run.revoke()
    assert client.get(status).json()["is_over"]
    assert "could not be added up" in client.get("/sales/progress/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_tests_of_the_page_about_testing_pass(shop, run_tree):
    names = documents.run(documents.examples(documents.DOCS / "testing.rst"), "docs_testing")
    cases = [value for value in names.values() if isinstance(value, type) and issubclass(value, TestCase)]
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    outcome = suite.run(unittest.TestResult())
    assert outcome.testsRun == 6
    assert outcome.wasSuccessful(), [*outcome.errors, *outcome.failures]
    names["test_the_report"](run_tree)
    assert names["pytest_plugins"] == [pytest_plugin.__name__]


def test_the_table_of_node_states():
    rows = documents.table(documents.DOCS / "states.rst", "node states")
    documented = {documents.literals(state)[0]: moves for state, _, moves in rows}
    assert {state: set(documents.literals(moves)) for state, moves in documented.items()} == NODE_TRANSITIONS
    assert {state for state, moves in documented.items() if moves.startswith("final")} == NODE_FINAL


def test_the_table_of_run_states():
    rows = documents.table(documents.DOCS / "states.rst", "run states")
    documented = {documents.literals(state)[0]: moves for state, _, moves in rows}
    assert {*documented} == {*RunState.values}
    assert {state: set(documents.literals(moves)) for state, moves in documented.items()} == RUN_TRANSITIONS
    assert {state for state, moves in documented.items() if moves.startswith("final")} == RUN_FINAL


def test_the_initial_states_of_nodes_and_runs():
    text = " ".join((documents.DOCS / "states.rst").read_text(encoding="utf-8").split())
    for name, states in (("node", NodeState), ("run", RunState)):
        (documented,) = re.findall(rf"A {name} begins as ([^.]+)\.", text)
        assert set(documents.literals(documented)) == set(map(str, INITIAL_STATES[states]))


def test_the_table_of_settings():
    rows = documents.table(documents.DOCS / "settings.rst", "settings")
    documented = [(documents.literals(key)[0], ast.literal_eval(default.strip("`"))) for key, default, _ in rows]
    assert documented == list(KEYS.items())


def test_every_public_name_is_on_the_page_of_the_api():
    text = (documents.DOCS / "api.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto(?:class|data|function):: django_tasktree\.(\w+)$", text, re.MULTILINE)
    assert sorted(documented) == sorted(django_tasktree.__all__)


@pytest.mark.parametrize(("rows", "model_admin"), [("runs", TreeRunAdmin), ("nodes", NodeRunAdmin)])
def test_the_tables_of_pages_of_the_admin(rows, model_admin):
    pages = documents.table(documents.DOCS / "admin.rst", f"pages of {rows}")
    documented = {documents.literals(name)[0]: documents.literals(page)[0] for name, page, _ in pages}
    assert documented == {
        name: f"{page.__module__}.{page.__qualname__}".removeprefix("django_tasktree.admin.")
        for name, page in model_admin.pages.items()
    }


def test_every_field_of_the_documented_models_is_described():
    page = (documents.DOCS / "models.rst").read_text(encoding="utf-8")
    assert re.findall(r"^\.\. fields:: (\w+)$", page, re.MULTILINE) == [*fields.MODELS]
    described = {
        f"{name}.{attribute.name}": attribute.text
        for name, model in fields.MODELS.items()
        for attribute in fields.attributes(model)
    }
    assert not [name for name, text in described.items() if not text]
    assert described["NodeRun.error_type"] == "The class of the exception with which it failed."
    assert described["TreeRun.nodes"] == "The rows of ``NodeRun`` whose ``run`` is this row."
    assert described["NodeRun.run_when"].endswith('One of ``"success"``, ``"failure"``, ``"always"``.')


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
    sections = {one: text for names, text in zip(parts[::2], parts[1::2], strict=True) for one in names.split(", ")}
    terms = re.findall(r"^``--.*$", sections[name].partition("\n===")[0], re.MULTILINE)
    assert set(re.findall(r"``(--[\w-]+)", " ".join(terms))) == _options(name)


def _options(name):
    command, *subcommand = name.split()
    parser = load_command_class("django_tasktree", command).create_parser("manage.py", command)
    if subcommand:
        choices: Any
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
        "view_runevent",
        "view_noderun",
        "view_worker",
        "delete_treerun",
    }
