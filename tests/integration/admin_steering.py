"""What several tests of steering in the admin do there."""

from django.urls import reverse

from django_tasktree import TaskTree
from tests.sample.tasks import echo

RUNS = reverse("admin:django_tasktree_treerun_changelist")
NODES = reverse("admin:django_tasktree_noderun_changelist")


def launch(name="tree", task=echo, **options):
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


def control_page(result, verb):
    return reverse("admin:django_tasktree_treerun_control", args=[result.id, verb])


def change_page(row, kind="treerun"):
    return reverse(f"admin:django_tasktree_{kind}_change", args=[row.id])


def ask(client, page, **data):
    return client.post(page, {"confirmed": "yes", **data}, follow=True)


def told(response):
    return [str(message) for message in response.context["messages"]]


def bulk(client, verb, results, **data):
    ids = [str(result.id) for result in results]
    action = "delete_selected" if verb == "delete" else f"{verb}_chosen"
    return client.post(RUNS, {"action": action, "_selected_action": ids, **data}, follow=True)
