"""Texts that callers give are stored as they are, or refused with the field's name: through every door, everywhere."""

from io import StringIO

import pytest
from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.urls import reverse
from django.views.generic import FormView

from django_tasktree import TaskTree, register_tree, registry
from django_tasktree.exceptions import InvalidOption, InvalidParameter, InvalidText, UnknownDefinition, UnknownTask
from django_tasktree.launching import launch_definition
from django_tasktree.models import HistoryEntry, NodeRun, TreeRun
from django_tasktree.text import LONG_NAME_LENGTH
from django_tasktree.views import TreeLaunchView
from tests.sample.tasks import echo

#: What no database can store as it is.
UNSTORABLE = {"nul": "a\x00b", "surrogate": "a\ud800b"}
LONG = "x" * 10_000
#: What must come back as it was given.
ODD = [
    "\U0001f600",
    "\u202e",
    " ",
    "a ",
    "%s %(x)s {0} {{ x }}",
    "a\nb\r\n",
    "back\\slash",
    "quote'\"`",
    "<b>&amp;",
    "ä",
]


@pytest.fixture(autouse=True)
def definition(monkeypatch):
    monkeypatch.setattr(registry.registry, "_definitions", {})

    @register_tree("say")
    def say(word: str = ""):
        tree = TaskTree("say")
        tree.add_task(echo, [word])
        return tree


def launched(**options):
    tree = TaskTree()
    tree.add_task(echo, [1], **options)
    return tree.apply_async()


def nothing_was_written():
    return not TreeRun.objects.exists() and not NodeRun.objects.exists()


TEXTS = {
    "name": (lambda text: TaskTree(text), "the name of the tree"),
    "key": (lambda text: TaskTree().apply_async(key=text), "the key of the run"),
    "queue": (lambda text: launched(queue=text), "the option queue"),
    "exchange": (lambda text: launched(exchange=text), "the option exchange"),
    "routing key": (lambda text: launched(routing_key=text), "the option routing_key"),
    "shadow": (lambda text: launched(shadow=text), "the option shadow"),
    "parameter": (lambda text: launch_definition("say", {"word": text}), "parameter 'word' of tree 'say'"),
    "definition": (lambda text: register_tree(text)(lambda: None), "the name of the definition"),
}


@pytest.mark.parametrize("door", TEXTS)
def test_what_can_not_be_stored_is_refused(database, door):
    act, field = TEXTS[door]
    for text in UNSTORABLE.values():
        with pytest.raises((InvalidText, InvalidParameter)) as caught:
            act(text)
        assert str(caught.value).startswith(field)
        assert "at position 1" in str(caught.value)
        assert str(caught.value).isascii()
    assert nothing_was_written()


@pytest.mark.parametrize("door", ["name", "key", "definition", "queue", "exchange", "routing key"])
def test_what_is_too_long_is_refused(database, door):
    act, field = TEXTS[door]
    with pytest.raises((InvalidText, InvalidOption), match="10,000") as caught:
        act(LONG)
    assert field.removeprefix("the option ") in str(caught.value)
    assert nothing_was_written()


def test_a_name_of_brokers_is_measured_in_bytes(database):
    with pytest.raises(InvalidOption, match="queue has 256 bytes"):
        launched(queue="ä" * 128)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queue": 5}, "queue=5 is no text"),
        ({"serializer": "xml"}, "serializer='xml' is not registered: it is one of 'json', "),
        ({"serializer": ["json"]}, "is not registered"),
        ({"compression": "rar"}, "compression='rar' is not registered: it is one of 'application/x-"),
        ({"compression": ["gzip"]}, "is not registered"),
        ({"priority": "high"}, "priority='high' is not a whole number from 0 to 255"),
        ({"priority": 256}, "priority=256"),
        ({"priority": True}, "priority=True"),
        ({"time_limit": "5"}, "time_limit='5' is not a number of seconds above 0"),
        ({"soft_time_limit": -1}, "soft_time_limit=-1"),
        ({"time_limit": float("nan")}, "time_limit=nan"),
    ],
)
def test_what_no_broker_takes_is_refused(database, options, reason):
    with pytest.raises(InvalidOption) as caught:
        launched(**options)
    assert reason in str(caught.value)
    assert nothing_was_written()


@pytest.mark.parametrize(
    "options",
    [{"compression": "gzip"}, {"serializer": "application/json"}, {"priority": 9}, {"time_limit": 2.5}],
    ids=str,
)
def test_what_brokers_take(database, eager, options):
    if "serializer" in options:
        options = {"serializer": "json"}
    assert launched(**options).state == "SUCCESS"


@pytest.mark.parametrize("text", [*UNSTORABLE.values(), LONG, "", *ODD], ids=ascii)
def test_names_that_do_not_exist_are_refused_readably(database, text):
    for act, kind in (
        (lambda: launch_definition(text, {}), UnknownDefinition),
        (lambda: TaskTree().add_task(text), UnknownTask),
        (lambda: launch_definition("say", {text: 1}), InvalidParameter),
        (lambda: TaskTree().add_task(echo, run_when=text), InvalidOption),
        (lambda: TaskTree(on_failure=text), InvalidOption),
    ):
        with pytest.raises(kind) as caught:
            act()
        str(caught.value).encode()


def test_odd_texts_come_back(database, eager):
    for text in ODD:
        tree = TaskTree(text)
        node = tree.add_task(echo, [text], queue=text, shadow=text)
        result = tree.apply_async(key=text)
        assert (result.run.name, result.run.key, result[node].get()) == (text, text, text)
        said = launch_definition("say", {"word": text})
        assert (said.run.params, said.children[0].get()) == ({"word": text}, text)


def test_arguments_are_stored_whatever_they_hold(database, eager):
    for text in (*UNSTORABLE.values(), LONG):
        tree = TaskTree()
        node = tree.add_task(echo, [{text: [text]}])
        assert tree.apply_async()[node].get() == {text: [text]}


class Named:
    pk = None

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


def test_who_asked_is_escaped_and_cut(database):
    for by in (*UNSTORABLE.values(), LONG, *map(Named, UNSTORABLE.values()), Named(LONG)):
        run = launched()
        run.pause(by=by)
        run.resume(by=by)
        (actor,) = set(HistoryEntry.objects.filter(run=run.id, action="pause").values_list("actor", flat=True))
        assert actor in (r"a\x00b", r"a\ud800b", "x" * (LONG_NAME_LENGTH - 1) + "…")


# The command line


def command(*args):
    """Run a command; gives the message of its usage error."""
    with pytest.raises(CommandError) as caught:
        call_command(*args, stdout=StringIO(), stderr=StringIO())
    assert caught.value.returncode == 2
    str(caught.value).encode()
    return str(caught.value)


@pytest.mark.parametrize("text", [*UNSTORABLE.values(), LONG], ids=["nul", "surrogate", "long"])
def test_commands_end_with_2(database, text):
    assert "--key" in command("run_tasktree", "say", "--key", text)
    assert "no tree is registered" in command("run_tasktree", text)
    assert command("run_tasktree", "say", "--param", f"{text}=1")
    assert command("tasktree", "show", text)
    assert command("tasktree", "pause", text, "--yes")
    assert command("tasktree", "watch", text)
    if text != LONG:
        assert "word" in command("run_tasktree", "say", "--param", f"word={text}")
        assert "--name" in command("tasktree", "pause", "--name", text, "--yes")
    assert nothing_was_written()


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_commands_take_odd_texts(database, eager, text):
    call_command("run_tasktree", "say", "--param", f"word={text}", "--key", text, stdout=StringIO(), stderr=StringIO())
    run = TreeRun.objects.get(key=text)
    assert run.params == {"word": text}
    for args in (["list"], ["show", str(run.id)], ["pause", "--name", text, "--dry-run"]):
        call_command("tasktree", *args, stdout=StringIO())


# The pages


@pytest.fixture
def browser(client):
    client.raise_request_exception = True
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("text", [*UNSTORABLE.values(), LONG], ids=["nul", "surrogate", "long"])
def test_forms_of_the_admin_say_why(database, browser, text):
    """A browser sends no half surrogates; another client that does gets a page, too."""
    launch = reverse("admin:django_tasktree_treerun_launch_definition", args=["say"])
    for fields in ({"param-word": text}, {"param-word": "x", "key": text}):
        answer = browser.post(launch, encoded(fields), content_type=FORM)
        if answer.status_code == 302:
            # Django reads half of a surrogate pair as the character for what can't be read; any text may be long.
            assert text != UNSTORABLE["nul"]
            continue
        assert answer.status_code == 200
        assert "errorlist" in answer.content.decode()
    compose = reverse("admin:django_tasktree_treerun_compose")
    answer = browser.post(compose, encoded(draft(name=text)), content_type=FORM)
    assert answer.status_code in ((200,) if text == UNSTORABLE["nul"] or text == LONG else (200, 302))
    assert text[:200] not in set(TreeRun.objects.values_list("name", flat=True))


FORM = "application/x-www-form-urlencoded"


def encoded(fields):
    from urllib.parse import urlencode

    return urlencode(fields, errors="surrogatepass")


def draft(**fields):
    return {"form-TOTAL_FORMS": "0", "form-INITIAL_FORMS": "0", **fields}


def test_addresses_with_such_texts_are_not_found(database, browser):
    run = launched()
    for text in (*UNSTORABLE.values(), "x" * 3000):
        quoted = encoded({"": text})[1:]
        for address in (
            f"/admin/django_tasktree/treerun/launch/{quoted}/",
            f"/admin/django_tasktree/treerun/{quoted}/change/",
            f"/tasktree/{quoted}/",
            f"/tasktree/runs/{quoted}/",
        ):
            assert browser.get(address).status_code in (302, 404), address
        for name in ("q", "definition", "launched_by", "state__exact", "p"):
            answer = browser.get(f"/admin/django_tasktree/treerun/?{name}={quoted}")
            assert answer.status_code in (200, 302), (name, text)
    assert run.run


class WordForm(forms.Form):
    word = forms.Field()


class Say(TreeLaunchView, FormView):
    form_class = WordForm
    template_name = "admin/base.html"
    definition = "say"
    success_url = "/done/"


class Keyed(Say):
    def get_launch_options(self, form):
        return {"key": form.cleaned_data["word"]}


@pytest.mark.parametrize("view", [Say, Keyed])
@pytest.mark.parametrize("text", [*UNSTORABLE.values(), LONG], ids=["nul", "surrogate", "long"])
def test_launch_views_show_the_form_again(database, view, text):
    request = RequestFactory().post("/", {})
    request.user = AnonymousUser()
    request.POST = request.POST.copy()
    request.POST["word"] = text
    answer = view.as_view()(request)
    if text == LONG and view is Say:
        assert answer.status_code == 302
        return
    assert answer.status_code == 200
    assert answer.context_data["form"].errors
    assert nothing_was_written()


def test_actions_of_views_refuse_what_can_not_be_stored(database, browser):
    run = launched()
    for text in UNSTORABLE.values():
        quoted = encoded({"": text})[1:]
        for kind, key in (("runs", run.id), ("nodes", run.children[0].id)):
            assert browser.post(f"/tasktree/{kind}/{key}/control/{quoted}/").status_code == 404
            answer = browser.post(f"/tasktree/{kind}/{key}/control/pause/", encoded({"note": text}), content_type=FORM)
            assert answer.status_code in (200, 400, 409)
