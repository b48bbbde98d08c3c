"""A project can replace a page of the admin, or add one, as the documentation describes."""

import pytest
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.urls import path, reverse

from django_tasktree import TaskTree
from django_tasktree.admin import NodeRunAdmin, TreeRunAdmin
from django_tasktree.admin.pages.base import AdminPage
from django_tasktree.admin.pages.launch import LaunchPage
from django_tasktree.definitions.registry import register_tree
from django_tasktree.models import NodeRun, TreeRun
from tests import documents
from tests.integration.admin.control import launch
from tests.integration.admin.pages import change_page
from tests.sample.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)

urlpatterns = []


class CostsPage(AdminPage):
    """A page that the app does not have."""

    route = "<uuid:key>/costs/"
    permission = "control"

    def get(self, request, key):
        return HttpResponse(f"The costs of {self.row.name}")


class CostsAdmin(TreeRunAdmin):
    pages = {**TreeRunAdmin.pages, "costs": CostsPage}


class WrongAdmin(TreeRunAdmin):
    pages = {**TreeRunAdmin.pages, "change": LaunchPage}


@pytest.fixture
def project(monkeypatch):
    """Restore the registries of the admin and of definitions after the test."""
    with documents.project(monkeypatch):
        yield


@pytest.fixture
def example(project):
    """Run the example of the documentation."""
    documents.run(documents.examples(documents.DOCS / "admin.rst"), "docs_admin")


def serve(settings, monkeypatch):
    """Serve the model admins that are registered now."""
    monkeypatch.setattr(f"{__name__}.urlpatterns", [path("admin/", admin.site.urls)])
    settings.ROOT_URLCONF = __name__


def register(model_admin):
    """Replace the registered admin of runs."""
    admin.site.unregister(TreeRun)
    admin.site.register(TreeRun, model_admin)


def make_tree():
    tree = TaskTree("tree")
    tree.add_task(echo, [1])
    return tree


def test_a_project_replaces_one_page(example, settings, monkeypatch, admin_client):
    register_tree("daily-report")(make_tree)
    register_tree("internal-cleanup")(make_tree)
    serve(settings, monkeypatch)
    page = reverse("admin:django_tasktree_treerun_launch")
    assert page == "/admin/django_tasktree/treerun/launch/"
    text = admin_client.get(page).content.decode()
    assert "daily-report" in text
    assert "internal-cleanup" not in text


@pytest.mark.parametrize(("permission", "status"), [("view_treerun", 403), ("launch_treerun", 200)])
def test_a_replaced_page_keeps_its_permission(example, settings, monkeypatch, staff, permission, status):
    serve(settings, monkeypatch)
    assert staff(permission).get(reverse("admin:django_tasktree_treerun_launch")).status_code == status


def test_the_other_pages_are_unchanged(example, settings, monkeypatch, admin_client):
    register_tree("internal-cleanup")(make_tree)
    serve(settings, monkeypatch)
    form = reverse("admin:django_tasktree_treerun_launch_definition", args=["internal-cleanup"])
    response = admin_client.post(form, follow=True)
    assert response.redirect_chain == [(change_page(TreeRun.objects.get()), 302)]
    assert "tasktree-tree" in response.content.decode()


def test_a_project_adds_a_page(project, settings, monkeypatch, staff):
    register(CostsAdmin)
    serve(settings, monkeypatch)
    run = launch("yearly")
    page = reverse("admin:django_tasktree_treerun_costs", args=[run.id])
    assert page == f"/admin/django_tasktree/treerun/{run.id}/costs/"
    client = staff("view_treerun", "control_treerun")
    assert client.get(page).content == b"The costs of yearly"
    assert client.post(page).status_code == 405
    assert client.get(page.replace(str(run.id), str(run.children[0].id))).status_code == 404


@pytest.mark.parametrize("permission", ["view_treerun", "control_treerun"])
def test_an_added_page_needs_its_permission_and_permission_to_view_the_row(
    project, settings, monkeypatch, staff, permission
):
    register(CostsAdmin)
    serve(settings, monkeypatch)
    page = reverse("admin:django_tasktree_treerun_costs", args=[launch().id])
    assert staff(permission).get(page).status_code == 403


def test_a_page_of_the_wrong_class_is_reported(project, settings, monkeypatch, admin_client):
    register(WrongAdmin)
    serve(settings, monkeypatch)
    with pytest.raises(ImproperlyConfigured) as raised:
        admin_client.get(change_page(launch()))
    assert str(raised.value) == (
        f'WrongAdmin.pages["change"] is {LaunchPage}: it must be django_tasktree.admin.pages.base.RowPage or a subclass'
    )


class NoAddress(AdminPage):
    """A page without a route."""


class NoHook(CostsPage):
    """A page whose permission has no hook."""

    permission = "costs"


@pytest.mark.parametrize(
    ("pages", "text"),
    [
        ([CostsPage], r"Own.pages is \[.*\]: it must be a dict of page classes by name"),
        ({}, "Own.pages has no page 'change', to which other pages link: extend the dict of the base class"),
        ({**TreeRunAdmin.pages, "costs": None}, r'Own.pages\["costs"\] is None: it must be a subclass of AdminPage'),
        ({**TreeRunAdmin.pages, "costs": NoAddress}, r'\["costs"\], NoAddress, has no route: set it to the address'),
        (
            {**TreeRunAdmin.pages, "costs": NoHook},
            r"NoHook, has the permission 'costs', but Own has no hook has_costs_permission\(request, row\)",
        ),
    ],
)
def test_faults_in_the_dict_of_pages_are_reported(pages, text):
    own = type("Own", (TreeRunAdmin,), {"pages": pages})
    with pytest.raises(ImproperlyConfigured, match=text):
        own(TreeRun, admin.AdminSite("faults")).get_urls()


class BoundHook(TreeRunAdmin):
    """A hook that can't be called like one."""

    pages = {**TreeRunAdmin.pages, "costs": NoHook}

    def has_costs_permission(self, request, row, more):
        return True


class NoMethod(BoundHook):
    """A hook that is no method."""

    has_costs_permission = True  # type: ignore[assignment]


@pytest.mark.parametrize("own", [BoundHook, NoMethod])
def test_a_hook_that_can_not_be_called_is_reported(own):
    with pytest.raises(ImproperlyConfigured, match=r"has_costs_permission can't be called with a request and a row"):
        own(TreeRun, admin.AdminSite("faults")).get_urls()


class GeneralPage(CostsPage):
    """A page of a run whose hook takes no row."""

    permission = "view_workers"


class AddPage(CostsPage):
    """A page whose permission is one of Django's that take no row."""

    route = "costs/"
    permission = "add"


class PageOfText(CostsPage):
    """A page whose address contains any text, and that has no template."""

    route = "<str:key>/costs/"

    def get(self, request, key):
        return self.render(self.page_context("Costs"))


def serve_page(page, settings, monkeypatch):
    """Serve a model admin with one more page."""
    register(type("Own", (TreeRunAdmin,), {"pages": {**TreeRunAdmin.pages, "costs": page}}))
    serve(settings, monkeypatch)


@pytest.mark.parametrize(("permission", "status"), [("view_worker", 200), ("control_treerun", 403)])
def test_the_hook_of_a_permission_may_take_no_row(project, settings, monkeypatch, staff, permission, status):
    serve_page(GeneralPage, settings, monkeypatch)
    page = reverse("admin:django_tasktree_treerun_costs", args=[launch().id])
    assert staff("view_treerun", permission).get(page).status_code == status


def test_hooks_of_django_may_take_no_row(project, settings, monkeypatch, admin_client):
    serve_page(AddPage, settings, monkeypatch)
    assert admin_client.get("/admin/django_tasktree/treerun/costs/").status_code == 403


@pytest.mark.parametrize("key", ["abc", "a_2Fb", "%00", "1", "x" * 3000])
def test_a_key_in_an_address_that_is_no_uuid_is_not_found(project, settings, monkeypatch, admin_client, key):
    serve_page(PageOfText, settings, monkeypatch)
    assert admin_client.get(f"/admin/django_tasktree/treerun/{key}/costs/").status_code == 404


def test_a_page_without_a_template_is_reported(project, settings, monkeypatch, admin_client):
    serve_page(PageOfText, settings, monkeypatch)
    with pytest.raises(ImproperlyConfigured, match=r"test_replaced_page\.PageOfText has no template_name"):
        admin_client.get(f"/admin/django_tasktree/treerun/{launch().id}/costs/")


@pytest.mark.parametrize("model", [TreeRun, NodeRun])
def test_a_site_may_have_runs_or_nodes_alone(settings, monkeypatch, admin_client, eager, model):
    """The pages of the one do not link to those of the other."""
    site = admin.AdminSite(f"only-{model.__name__}")
    site.register(model, {TreeRun: TreeRunAdmin, NodeRun: NodeRunAdmin}[model])
    monkeypatch.setattr(f"{__name__}.urlpatterns", [path("admin/", site.urls)])
    settings.ROOT_URLCONF = __name__
    tree = TaskTree("both")
    tree.add_task(echo).add_task(echo)
    result = tree.apply_async()
    row = result.run if model is TreeRun else result.children[0].node
    label = f"admin:django_tasktree_{model._meta.model_name}"
    assert admin_client.get(reverse(f"{label}_change", args=[row.pk])).status_code == 200
    assert admin_client.get(reverse(f"{label}_changelist")).status_code == 200
    assert admin_client.get("/admin/django_tasktree/").status_code == 200
