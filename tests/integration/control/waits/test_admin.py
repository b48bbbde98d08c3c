"""Wait nodes in the admin: the form of the payload, the list, the dashboard and the permission."""

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.models import NodeRun, RunEvent
from tests import simulation
from tests.integration.admin.control import ask, messages_of
from tests.integration.admin.pages import node_page, query_count, shown
from tests.sample.payloads import ApprovalForm, LetterForm, decision

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = reverse("admin:django_tasktree_noderun_waiting")
INDEX = reverse("admin:app_list", args=["django_tasktree"])


def launch(*names, **options):
    tree = TaskTree("orders")
    for name in names or ("approved",):
        tree.wait_for(name, **options)
    return tree.apply_async()


def complete_page(node):
    return reverse("admin:django_tasktree_noderun_control", args=[node.id, "complete"])


@pytest.fixture
def world(app):
    """Yield a simulated broker with one worker."""
    with simulation.simulated(app, "waits-admin") as world:
        world.start_worker("w")
        yield world


def test_the_form_completes_the_node(world, admin_client, admin_user):
    run = launch(form=ApprovalForm)
    node = run["approved"]
    page = node_page(node)
    assert complete_page(node) in shown(admin_client, page)
    asked = shown(admin_client, complete_page(node))
    assert 'name="payload-by"' in asked
    assert 'name="result"' not in asked
    wrong = ask(admin_client, complete_page(node), **{"payload-by": "0", "payload-note": "no"}).content.decode()
    assert "greater than or equal to 1" in wrong
    assert "Say more." in wrong
    response = ask(admin_client, complete_page(node), **{"payload-by": "7"})
    assert messages_of(response) == ["Complete: approved."]
    assert (node.get(), run.state) == ({"by": 7, "note": ""}, "SUCCESS")
    assert (run.history[-1].action, run.history[-1].user) == ("complete", admin_user)


def test_the_title_and_the_description_are_shown_as_plain_text(world, admin_client):
    node = launch(title="Pay <7> & go?", description="<b>First.</b>\n\nSecond.")["approved"]
    asked = shown(admin_client, complete_page(node))
    assert "<h1>Complete: Pay &lt;7&gt; &amp; go?</h1>" in asked
    assert "<p>&lt;b&gt;First.&lt;/b&gt;</p>\n\n<p>Second.</p>" in asked
    assert f'<a href="{node_page(node)}">Pay &lt;7&gt; &amp; go?</a>' in shown(admin_client, WAITING)


def test_parameters_become_fields(world, admin_client):
    node = launch(params=decision)["approved"]
    asked = shown(admin_client, complete_page(node))
    assert all(f'name="payload-{name}"' in asked for name in ("by", "verdict", "day"))
    wrong = ask(admin_client, complete_page(node), **{"payload-by": "x", "payload-verdict": '"no"'})
    assert "is not a whole number" in wrong.content.decode()
    values = {"payload-by": "7", "payload-verdict": '"no"', "payload-day": "2030-01-31"}
    ask(admin_client, complete_page(node), **values)
    assert node.get() == {"by": 7, "verdict": "no", "day": "2030-01-31"}


def test_a_form_with_a_file_and_a_field_of_a_name_that_the_page_uses(world, admin_client):
    node = launch(form=LetterForm)["approved"]
    assert 'enctype="multipart/form-data"' in shown(admin_client, complete_page(node))
    ask(admin_client, complete_page(node), **{"payload-text": SimpleUploadedFile("a.txt", b"content")})
    assert node.get() == {"text": "content", "confirmed": False, "at": None}


def test_without_a_form_the_payload_is_json(world, admin_client):
    node = launch()["approved"]
    ask(admin_client, complete_page(node), result='{"by": 7}')
    assert node.get() == {"by": 7}


def test_the_node_page_says_what_it_waits_for(world, admin_client):
    node = launch(timeout=timedelta(days=3))["approved"]
    page = shown(admin_client, node_page(node))
    assert "the event “approved”, or its completion" in page
    assert "its timeout" in page


def test_the_list_shows_the_longest_waiting_first(world, admin_client):
    assert "No node waits for an answer." in shown(admin_client, WAITING)
    run = launch("second", "first")
    first = NodeRun.objects.get(label="first")
    NodeRun.objects.filter(id=first.id).update(queued_at=first.queued_at - timedelta(hours=1))
    tree = TaskTree()
    tree.sleep(timedelta(days=1), label="nap")
    tree.apply_async()
    page = shown(admin_client, WAITING)
    assert page.index(str(first.id)) < page.index(str(run["second"].id))
    assert complete_page(first) in page
    assert "nap" not in page
    of_one = shown(admin_client, f"{WAITING}?event=second")
    assert str(first.id) not in of_one
    assert str(run["second"].id) in of_one


def test_the_list_takes_a_constant_number_of_queries(world, admin_client):
    launch()
    before = query_count(admin_client, WAITING)
    launch(*(f"w{number}" for number in range(60)))
    assert query_count(admin_client, WAITING) == before
    page = shown(admin_client, f"{WAITING}?p=2")
    assert "2 / 2" in page


def test_the_dashboard_counts_them(world, admin_client):
    assert WAITING not in shown(admin_client, INDEX)
    launch("a", "b")
    # One that waits for a sub-run, in a lane of tasks.
    launch("c")
    NodeRun.objects.filter(label="c").update(wait=None, lane="celery")
    assert f'<a href="{WAITING}">Waiting for an answer: 2</a>' in shown(admin_client, INDEX)


def test_the_list_of_nodes_links_to_it(world, admin_client):
    assert WAITING in admin_client.get(reverse("admin:django_tasktree_noderun_changelist")).content.decode()


def test_the_permission_is_enough_to_complete_waits_and_nothing_else(world, staff):
    client = staff("view_noderun", "view_treerun", "answer_treerun")
    run = launch("a", "b")
    node = run["a"]
    page = shown(client, node_page(node))
    assert complete_page(node) in page
    assert "/control/revoke/" not in page
    assert client.get(reverse("admin:django_tasktree_noderun_control", args=[node.id, "revoke"])).status_code == 403
    ask(client, complete_page(node), result="1")
    assert node.get() == 1


def test_without_the_permission(world, staff):
    client = staff("view_noderun", "view_treerun")
    node = launch()["approved"]
    assert complete_page(node) not in shown(client, WAITING)
    assert client.get(complete_page(node)).status_code == 403


def test_waiting_rows_of_the_tree_link_to_the_form(world, admin_client):
    tree = TaskTree("orders")
    for name in ("first", "second"):
        tree.wait_for(name, timeout=timedelta(days=3))
    tree.sleep(timedelta(days=1), label="nap")
    run = tree.apply_async()
    page = reverse("admin:django_tasktree_treerun_change", args=[run.id])
    live = reverse("admin:django_tasktree_treerun_live", args=[run.id])
    run["first"].complete()
    text = shown(admin_client, page)
    assert re.findall(r'class="tasktree-answer" href="([^"]+)">Answer…</a>', text) == [complete_page(run["second"])]
    assert re.search(r"> wait for “second” until [\d/]+, [\d:]+</span>", text)
    assert "> wait for “first”</span>" in text
    assert re.search(r"> wait until [\d/]+, [\d:]+</span>", text)
    assert "Answer…" in shown(admin_client, f"{page}?q=second"), "results of a search"
    keys = [run[name].id.hex for name in ("first", "second")]
    rows = admin_client.get(live, {"nodes": ",".join(keys)}).json()["rows"]
    assert ["Answer…" in rows[key]["badge"] for key in keys] == [False, True]
    run.pause()
    assert "Answer…" in shown(admin_client, page)
    run.revoke()
    assert "Answer…" not in shown(admin_client, page)


@pytest.mark.parametrize(
    ("permissions", "links"), [((), 0), (("answer_treerun",), 2), (("control_treerun",), 2)], ids=str
)
def test_waiting_rows_without_the_permission(world, staff, permissions, links):
    client = staff("view_noderun", "view_treerun", *permissions)
    page = reverse("admin:django_tasktree_treerun_change", args=[launch("a", "b").id])
    assert shown(client, page).count("Answer…") == links


def test_links_of_rows_cost_no_queries(world, admin_client):
    pages = [
        reverse("admin:django_tasktree_treerun_change", args=[launch(*(f"w{each}" for each in range(number))).id])
        for number in (1, 20)
    ]
    assert query_count(admin_client, pages[0]) == query_count(admin_client, pages[1])


def test_each_view_of_the_tree_shows_the_state(world, admin_client):
    run = launch()
    page = shown(admin_client, reverse("admin:django_tasktree_treerun_change", args=[run.id]))
    assert "tasktree-state-waiting" in page
    timeline = reverse("admin:django_tasktree_treerun_timeline", args=[run.id])
    (bar,) = admin_client.get(timeline).json()["bars"]
    assert (bar["name"], bar["state"], bar["start"] >= 0, bar["end"]) == ("approved", "waiting", True, None)
    run["approved"].complete()
    (again,) = admin_client.get(timeline).json()["bars"]
    assert (again["start"], again["state"], again["end"] >= bar["start"]) == (bar["start"], "success", True)


EVENTS = reverse("admin:django_tasktree_runevent_changelist")


class TestEvents:
    def test_the_list_shows_what_has_become_of_each(self, world, admin_client, admin_user):
        run = launch("a", "b")
        run.send_event("a", {"by": 7}, by=admin_user)
        run.send_event("later", by="a program")
        run.send_event("wrong")
        RunEvent.objects.filter(name="wrong").update(refusal="it does not fit")
        other = launch("c")
        other.send_event("c")
        page = shown(admin_client, f"{EVENTS}?run={run.id}")
        assert all(text in page for text in (node_page(run["a"]), "a program", "it does not fit", str(admin_user)))
        assert node_page(other["c"]) not in page
        for fate, name in {"yes": "a", "no": "later", "refused": "wrong"}.items():
            result = admin_client.get(EVENTS, {"run": str(run.id), "taken": fate}).context["cl"]
            assert [event.name for event in result.result_list] == [name]
        assert f"{EVENTS}?run={run.id}" in shown(
            admin_client, reverse("admin:django_tasktree_treerun_change", args=[run.id])
        )

    def test_the_page_of_an_event_shows_its_payload(self, world, admin_client):
        run = launch("a")
        run.send_event("a", {"by": "<b>"})
        page = shown(admin_client, reverse("admin:django_tasktree_runevent_change", args=[RunEvent.objects.get().pk]))
        assert "&lt;b&gt;" in page
        assert node_page(run["a"]) in page
        assert 'name="_save"' not in page

    def test_the_list_takes_a_constant_number_of_queries(self, world, admin_client, admin_user):
        run = launch(*(f"w{number}" for number in range(10)))
        run.send_event("w0", by=admin_user)
        before = query_count(admin_client, EVENTS)
        for number in range(1, 10):
            run.send_event(f"w{number}", by=admin_user)
        assert query_count(admin_client, EVENTS) == before

    def test_users_without_other_permissions_get_no_links(self, world, staff):
        run = launch("a")
        run.send_event("a")
        page = shown(staff("view_runevent"), EVENTS)
        assert "orders" in page
        assert node_page(run["a"]) not in page
