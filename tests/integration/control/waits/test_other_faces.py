"""Wait nodes in JSON, signed links and commands."""

import json
import re
from datetime import timedelta
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from django_tasktree import TaskTree
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.recovery.sweep import sweep
from tests import simulation
from tests.integration.management.test_action_commands import tasktree
from tests.interleaving import before_statement
from tests.sample.payloads import ApprovalForm, LetterForm, UserForm, decision

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(app):
    """Yield a simulated broker with one worker."""
    with simulation.simulated(app, "waits-faces") as world:
        world.start_worker("w")
        yield world


def launch(**options):
    tree = TaskTree("orders")
    tree.wait_for("approved", **options)
    return tree.apply_async()


def post_json(client, address, value):
    return client.post(address, json.dumps(value), content_type="application/json")


class TestJson:
    def test_the_node_is_completed(self, world, staff):
        client = staff("view_treerun", "answer_treerun")
        run = launch(params=decision)
        address = reverse("tasktree:control_node", args=[run["approved"].id, "complete"])
        refused = post_json(client, address, {"result": {"by": "x"}})
        assert (refused.status_code, refused.json()["error"]["fields"].keys()) == (400, {"by"})
        assert post_json(client, address, {"result": {"by": 7}}).json()["run"]["state"] == "SUCCESS"
        assert run["approved"].get()["by"] == 7

    def test_an_event_is_sent(self, world, staff):
        client = staff("view_treerun", "answer_treerun")
        run = launch(form=ApprovalForm)
        address = reverse("tasktree:send_event", args=[run.id, "approved"])
        assert post_json(client, address, {}).status_code == 400
        assert client.post(address, "{", content_type="application/json").status_code == 400
        assert post_json(client, address, {"by": 7}).json()["event"] == "approved"
        assert run["approved"].get()["by"] == 7
        assert run.history[-1].user == client.user
        assert post_json(client, address, {"by": 7}).status_code == 409

    def test_an_event_without_a_payload(self, world, staff):
        client = staff("view_treerun", "control_treerun")
        run = launch()
        address = reverse("tasktree:send_event", args=[run.id, "approved"])
        assert client.post(address, "", content_type="application/json").status_code == 200
        assert run["approved"].get() is None

    @pytest.mark.parametrize("names", [["view_treerun"], ["answer_treerun"]])
    def test_permissions(self, world, staff, names):
        client = staff(*names)
        run = launch()
        for address in (
            reverse("tasktree:send_event", args=[run.id, "approved"]),
            reverse("tasktree:control_node", args=[run["approved"].id, "complete"]),
        ):
            assert client.post(address).status_code == (403 if "view_treerun" in names else 404)

    def test_the_permission_is_for_wait_nodes_only(self, world, staff):
        client = staff("view_treerun", "answer_treerun")
        node = launch()["approved"]
        assert client.post(reverse("tasktree:control_node", args=[node.id, "revoke"])).status_code == 403


class TestLinks:
    def test_the_form_completes_the_node(self, world):
        run = launch(form=ApprovalForm)
        address = run["approved"].completion_url()
        client = Client(enforce_csrf_checks=True)
        page = client.get(address)
        assert 'name="by"' in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        assert client.post(address, {"by": "7"}).status_code == 403, "without the token of the form"
        token = {"csrfmiddlewaretoken": page.context["csrf_token"]}
        assert "This field is required." in client.post(address, token).content.decode()
        assert run["approved"].state == "WAITING"
        assert "Thank you" in client.post(address, {"by": "7", **token}).content.decode()
        assert run["approved"].get() == {"by": 7, "note": ""}
        assert run.history[-1].actor == "link"
        again = client.post(address, {"by": "8", **token})
        assert (again.status_code, run["approved"].get()["by"]) == (410, 7)

    def test_the_title_and_the_description_are_shown_as_plain_text(self, world, client):
        run = launch(title="Pay <7> & go?", description="<b>First.</b>\n\nSecond.")
        address = run["approved"].completion_url()
        page = client.get(address).content.decode()
        assert "<title>Pay &lt;7&gt; &amp; go?</title>" in page
        assert "<h1>Pay &lt;7&gt; &amp; go?</h1>" in page
        assert "<p>&lt;b&gt;First.&lt;/b&gt;</p>\n\n<p>Second.</p>" in page
        assert "<h1>Pay &lt;7&gt; &amp; go?</h1>" in client.post(address).content.decode()
        assert "<h1>approved</h1>" in client.get(launch()["approved"].completion_url()).content.decode()

    def test_without_a_form_there_is_a_button(self, world, client):
        run = launch()
        client.post(run["approved"].completion_url())
        assert run["approved"].get() is None
        assert run.state == "SUCCESS"

    def test_get_changes_nothing(self, world, client):
        run = launch()
        client.get(run["approved"].completion_url())
        assert run["approved"].state == "WAITING"

    def test_the_urls_are_missing(self, world, settings):
        settings.ROOT_URLCONF = ()
        with pytest.raises(ImproperlyConfigured, match=r"django_tasktree\.urls"):
            launch()["approved"].completion_url()

    def test_a_complete_url(self, world, rf):
        url = launch()["approved"].completion_url(rf.get("/"))
        assert url.startswith("http://testserver/")

    def test_it_ends_with_the_timeout(self, world, client):
        run = launch(timeout=timedelta(hours=1))
        address = run["approved"].completion_url()
        NodeRun.objects.filter(run_id=run.id).update(eta=run["approved"].node.queued_at)
        assert client.get(address).status_code == 410

    def test_it_expires(self, world, client, settings):
        run = launch()
        with mock.patch("django.core.signing.time.time", return_value=0):
            address = run["approved"].completion_url()
        assert client.get(address).status_code == 410

    def test_a_link_of_an_earlier_wait_is_void(self, world, client):
        run = launch()
        address = run["approved"].completion_url()
        run["approved"].complete()
        run["approved"].rerun()
        assert run["approved"].state == "WAITING"
        assert client.post(address).status_code == 410

    @pytest.mark.parametrize("change", ["revoke", "run again", "time out", "complete"])
    def test_the_wait_ends_while_the_answer_is_on_its_way(self, world, client, change):
        run = launch(timeout=timedelta(hours=1))
        node = run["approved"]

        def act():
            if change == "revoke":
                run.revoke()
            elif change == "time out":
                world.pass_time()
                sweep(world.app)
            else:
                node.complete("first")
                if change == "run again":
                    node.rerun()

        # The next statement after the link was found to be valid.
        address = node.completion_url()
        with before_statement(r"SELECT django_tasktree_noderun\.wait\b", act):
            response = client.post(address)
        assert response.status_code == 410
        states = {"revoke": "REVOKED", "run again": "WAITING", "time out": "FAILURE", "complete": "SUCCESS"}
        assert run["approved"].state == states[change]

    def test_a_form_that_does_not_exist_any_more(self, world, client, caplog):
        run = launch(form=ApprovalForm)
        address = run["approved"].completion_url()
        NodeRun.objects.filter(run_id=run.id).update(wait='{"event": "approved", "form": "tests.sample.payloads.Gone"}')
        client.raise_request_exception = False
        response = client.get(address)
        assert (response.status_code, "tests.sample" in response.content.decode()) == (500, False)
        assert "tests.sample.payloads.Gone" in caplog.text

    def test_a_file(self, world, client):
        run = launch(form=LetterForm)
        address = run["approved"].completion_url()
        assert 'enctype="multipart/form-data"' in client.get(address).content.decode()
        client.post(address, {"letter-text": SimpleUploadedFile("a.txt", b"content"), "letter-confirmed": "on"})
        assert run["approved"].get() == {"text": "content", "confirmed": True, "at": None}

    def test_an_answer_that_can_not_be_stored(self, world, client, django_user_model):
        run = launch(form=UserForm)
        user = django_user_model.objects.create_user("jo")
        response = client.post(run["approved"].completion_url(), {"users": [str(user.pk)]})
        assert "QuerySet" in response.content.decode()
        assert run["approved"].state == "WAITING"

    def test_a_forged_link(self, world, client):
        assert client.get(reverse("tasktree:complete_by_link", args=["forged"])).status_code == 410

    def test_it_can_be_switched_off(self, world, client, settings):
        run = launch()
        address = run["approved"].completion_url()
        settings.TASKTREE = {"COMPLETION_LINKS": False}
        assert client.get(address).status_code == 404
        with pytest.raises(NotPossible, match="COMPLETION_LINKS"):
            run["approved"].completion_url()

    def test_only_a_wait_has_one(self, world):
        run = launch()
        run["approved"].complete()
        with pytest.raises(NotPossible, match="only a wait node that waits has a link"):
            run["approved"].completion_url()


class TestCommand:
    def test_a_result(self, world):
        run = launch(params=decision)
        out, error = tasktree("complete", str(run.id), "approved", "--result", '{"by": 7}', "--yes")
        assert error is None, out
        assert run["approved"].get()["by"] == 7

    def test_parameters_are_typed(self, world):
        run = launch(params=decision)
        out, error = tasktree("complete", f"{run.id}", "approved", "--param", "by=x", "--yes")
        assert "'x' is not a whole number" in out
        assert error == (1, "1 of 1 refused")
        _, error = tasktree(
            "complete", f"{run.id}", "approved", "--param", "by=7", "--param", "day=2030-01-31", "--yes"
        )
        assert error is None
        assert run["approved"].get() == {"by": 7, "verdict": "yes", "day": "2030-01-31"}

    def test_the_fields_of_a_form(self, world):
        run = launch(form=ApprovalForm)
        assert tasktree("complete", f"{run.id}", "approved", "--param", "by=7", "--yes")[1] is None
        assert run["approved"].get() == {"by": 7, "note": ""}

    def test_show_says_what_nodes_wait_for(self, world):
        tree = TaskTree("waits")
        tree.wait_for("approved", timeout=timedelta(days=3)).wait_for("paid", label="money")
        tree.sleep(timedelta(days=1), label="nap")
        run = tree.apply_async()
        moment = r"\d{1,2} [A-Z][a-z]{2}( \d{4})?, \d\d:\d\d"
        lines = tasktree("show", str(run.id))[0].splitlines()
        for line, pattern in zip(
            lines[1:4],
            (f"◷ wait for “approved” until {moment}", "└─ · money: wait for “paid”", f"◷ nap: wait until {moment}"),
            strict=True,
        ):
            assert re.fullmatch(pattern, line), line
        assert "tasktree.wait" not in tasktree("show", str(run["approved"].id))[0]
        run["approved"].complete()
        assert "✔ wait for “approved” " in tasktree("show", str(run.id))[0]

    def test_send_event(self, world):
        run = launch(params=decision)
        key = str(run.id)
        assert "'x' is not a whole number" in tasktree("send-event", key, "approved", "--param", "by=x")[1][1]
        assert tasktree("send-event", key, "a/b")[1][0] == 2
        assert tasktree("send-event", key, "approved", "--payload", "{")[1][0] == 2
        assert tasktree("send-event", key, "approved", "--payload", "1", "--param", "by=7")[1][0] == 2
        out, error = tasktree("send-event", key, "later", "--param", "a=b")
        text = (
            "stored until a node waits for it, which none does yet: nodes of this run wait, or will wait, for approved"
        )
        assert (out, error) == (f"✔ orders  {run.id}: {text}\n", None)
        node = run["approved"]
        out, error = tasktree("send-event", key, "approved", "--param", "by=7", "--format", "json")
        assert (error, json.loads(out)["node"], node.get()["by"]) == (None, str(node.id), 7)
        assert "(command line)" in run.history[-1].actor
        assert tasktree("send-event", key, "approved", "--payload", '{"by": 7}')[1][0] == 1

    def test_both(self, world):
        run = launch()
        _, error = tasktree("complete", f"{run.id}", "approved", "--param", "by=7", "--result", "1", "--yes")
        assert error == (2, "--result and --param both give the result: use one of them")

    def test_show(self, world):
        run = launch()
        out, _ = tasktree("show", str(run.id))
        assert "◷" in out
