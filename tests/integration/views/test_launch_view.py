"""``TreeLaunchView``."""

import pytest
from django import forms
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.urls import reverse
from django.views.generic import CreateView, FormView

from django_tasktree import TaskTree, register_tree, registry
from django_tasktree.exceptions import InvalidParameter
from django_tasktree.models import TreeRun
from django_tasktree.views import TreeLaunchView
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def definition(monkeypatch):
    monkeypatch.setattr(registry.registry, "_definitions", {})

    @register_tree("say")
    def say(word: str, times: int = 1):
        if word == "hush":
            raise InvalidParameter("parameter 'word': not that one", {"word": "not that one"})
        if word == "both":
            raise InvalidParameter("something else", {"nothing": "here"})
        tree = TaskTree()
        for _ in range(times):
            tree.add_task(echo, [word])
        return tree


class WordForm(forms.Form):
    word = forms.CharField()
    unrelated = forms.CharField(required=False)


class Say(TreeLaunchView, FormView):
    form_class = WordForm
    template_name = "admin/base.html"
    definition = "say"


def post(view, user=None, **data):
    request = RequestFactory().post("/", data)
    request.user = user or AnonymousUser()
    return view.as_view()(request)


def test_it_launches_a_definition(definition, eager):
    user = User.objects.create_user("anna")
    answer = post(Say, user, word="hello", unrelated="x")
    run = TreeRun.objects.get()
    assert (run.definition, run.params, run.launched_by) == ("say", {"word": "hello", "times": 1}, user)
    assert (answer.status_code, answer["Location"]) == (302, reverse("tasktree:progress", args=[run.id]))


def test_who_is_not_logged_in_gets_a_signed_link(definition, eager, client):
    answer = post(Say, word="hello")
    assert TreeRun.objects.get().launched_by is None
    assert "say" in client.get(answer["Location"]).content.decode()


def test_where_it_goes_then(definition, eager):
    class Elsewhere(Say):
        success_url = "/done/{id}/"

    assert post(Elsewhere, word="hello")["Location"] == f"/done/{TreeRun.objects.get().id}/"


@pytest.mark.parametrize(
    ("word", "field", "reason"),
    [("hush", "word", "not that one"), ("both", "__all__", "something else"), ("", "word", "This field is required.")],
)
def test_what_is_refused_stands_in_the_form(definition, eager, word, field, reason):
    answer = post(Say, word=word)
    assert (answer.status_code, TreeRun.objects.count()) == (200, 0)
    assert answer.context_data["form"].errors == {field: [reason]}


def test_it_launches_a_tree_of_its_own(eager):
    class Own(TreeLaunchView, FormView):
        form_class = WordForm

        def build_tree(self, form):
            tree = TaskTree("own")
            tree.add_task(echo, [form.cleaned_data["word"]])
            return tree

        def get_launch_options(self, form):
            return {"key": f"own {form.cleaned_data['word']}"}

    first, again = (post(Own, User.objects.get_or_create(username="anna")[0], word="hello") for _ in range(2))
    assert (TreeRun.objects.get().key, first["Location"]) == ("own hello", again["Location"])


class GroupForm(forms.ModelForm):
    class Meta:
        model = Group
        fields = ["name"]


class NewGroup(TreeLaunchView, CreateView):
    form_class = GroupForm
    template_name = "admin/base.html"
    definition = "say"

    def get_tree_params(self, form):
        return {"word": self.object.name}


def test_it_saves_a_form_of_a_model_with_it(definition, eager):
    post(NewGroup, name="sales")
    assert TreeRun.objects.get().params["word"] == Group.objects.get().name == "sales"


def test_both_or_neither(definition, eager):
    assert post(NewGroup, name="hush").status_code == 200
    assert (Group.objects.count(), TreeRun.objects.count()) == (0, 0)


def test_a_view_that_launches_nothing(eager):
    class Nothing(TreeLaunchView, FormView):
        form_class = WordForm

    with pytest.raises(ImproperlyConfigured, match=r"set Nothing.definition, or override build_tree\(\)"):
        post(Nothing, word="hello")
