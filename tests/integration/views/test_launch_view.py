"""``TreeLaunchView``."""

import pytest
from django import forms
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.urls import reverse
from django.views.generic import CreateView, FormView

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidParameter
from django_tasktree.models import TreeRun
from django_tasktree.testing import registered
from django_tasktree.views import TreeLaunchView
from tests.orders.models import Delivery, Order, Parcel
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def definition():
    """Register only the definition of this file."""
    with registered(say, only=True):
        yield


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
    """Post a form to a view, and return the response."""
    request = RequestFactory().post("/", data)
    request.user = user or AnonymousUser()
    return view.as_view()(request)


def test_it_launches_a_definition(definition, eager):
    user = User.objects.create_user("anna")
    answer = post(Say, user, word="hello", unrelated="x")
    run = TreeRun.objects.get()
    assert (run.definition, run.params, run.launched_by) == ("say", {"word": "hello", "times": 1}, user)
    assert (answer.status_code, answer["Location"]) == (302, reverse("tasktree:progress", args=[run.id]))


def test_an_anonymous_user_is_redirected_to_a_signed_link(definition, eager, client):
    answer = post(Say, word="hello")
    assert TreeRun.objects.get().launched_by is None
    assert "say" in client.get(answer["Location"]).content.decode()


def test_success_url_may_contain_the_id_of_the_run(definition, eager):
    class WithSuccessUrl(Say):
        success_url = "/done/{id}/"

    assert post(WithSuccessUrl, word="hello")["Location"] == f"/done/{TreeRun.objects.get().id}/"


@pytest.mark.parametrize(
    ("word", "field", "reason"),
    [("hush", "word", "not that one"), ("both", "__all__", "something else"), ("", "word", "This field is required.")],
)
def test_refused_parameters_are_reported_in_the_form(definition, eager, word, field, reason):
    answer = post(Say, word=word)
    assert (answer.status_code, TreeRun.objects.count()) == (200, 0)
    assert answer.context_data["form"].errors == {field: [reason]}


def test_it_launches_the_tree_of_build_tree(eager):
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


def test_a_model_form_is_saved_with_the_launch(definition, eager):
    post(NewGroup, name="sales")
    assert TreeRun.objects.get().params["word"] == Group.objects.get().name == "sales"


def test_a_refused_launch_saves_no_object(definition, eager):
    assert post(NewGroup, name="hush").status_code == 200
    assert (Group.objects.count(), TreeRun.objects.count()) == (0, 0)


def test_a_view_without_a_definition_is_an_error(eager):
    class Nothing(TreeLaunchView, FormView):
        form_class = WordForm

    with pytest.raises(ImproperlyConfigured, match=r"set Nothing.definition, or override build_tree\(\)"):
        post(Nothing, word="hello")


class TestRunField:
    """A field of the form's model refers to the run."""

    def view(self, model, **attributes):
        """Return a view that creates objects of a model."""
        given = {"model": model, "fields": ["word"], "definition": "say", "template_name": "admin/base.html"}
        return type("Make", (TreeLaunchView, CreateView), {**given, **attributes})

    def test_a_nullable_foreign_key(self, definition, eager):
        """The object is saved first, so that the tree can have its key."""

        def params(self, form):
            return {"word": f"order {form.instance.pk}"}

        view = self.view(
            Order, fields=[], run_field="run", get_tree_params=params, get_launch_options=lambda *_: {"key": "k"}
        )
        post(view)
        order = Order.objects.get()
        assert order.run == TreeRun.objects.get()
        assert order.run.params["word"] == f"order {order.pk}"

    def test_a_foreign_key_that_is_not_nullable(self, definition, eager):
        post(self.view(Delivery, run_field="run"), word="hello")
        assert Delivery.objects.get().run == TreeRun.objects.get()

    def test_a_field_for_the_key_of_the_run(self, definition, eager):
        post(self.view(Parcel, run_field="run_key"), word="hello")
        assert Parcel.objects.get().run_key == TreeRun.objects.get().id

    @pytest.mark.parametrize("model", [Delivery, Parcel])
    def test_an_error_of_save_launches_nothing(self, definition, eager, model, monkeypatch):
        def fail(*_args, **_options):
            raise OSError("full")

        monkeypatch.setattr(model, "save", fail)
        with pytest.raises(OSError, match="full"):
            post(self.view(model, run_field=model._meta.fields[-1].name), word="hello")
        assert not TreeRun.objects.exists()

    @pytest.mark.parametrize("model", [Delivery, Parcel])
    def test_a_refused_launch_saves_no_object(self, definition, eager, model):
        response = post(self.view(model, run_field=model._meta.fields[-1].name), word="hush")
        assert response.context_data["form"].errors == {"word": ["not that one"]}
        assert not model.objects.exists()

    def test_a_field_that_does_not_exist_is_reported(self, definition, eager):
        with pytest.raises(ImproperlyConfigured, match=r"Make.run_field is 'order', but orders.Parcel has no field"):
            post(self.view(Parcel, run_field="order"), word="hello")
        with pytest.raises(ImproperlyConfigured, match="WordForm is not a ModelForm"):
            post(type("Other", (Say,), {"run_field": "run"}), word="hello")
        assert not TreeRun.objects.exists()
