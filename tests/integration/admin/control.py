"""Launch runs, and ask for actions in the admin."""

from django.urls import reverse

from django_tasktree import TaskTree
from tests.integration.admin.pages import RUNS
from tests.sample.tasks import echo


def launch(name="tree", task=echo, **options):
    """Launch a tree of two nodes, one below the other."""
    tree = TaskTree(name)
    tree.add_task(task, ["a"]).add_task(echo, ["b"])
    return tree.apply_async(**options)


def control_page(result, action):
    """Return the address of the page that asks to confirm an action on a run."""
    return reverse("admin:django_tasktree_treerun_control", args=[result.id, action])


def ask(client, page, **data):
    """Confirm an action on its page."""
    return client.post(page, {"confirmed": "yes", **data}, follow=True)


def messages_of(response):
    """Return the texts of the messages that a page shows."""
    return [str(message) for message in response.context["messages"]]


def bulk(client, action, results, **data):
    """Ask for an action on several runs in the list."""
    ids = [str(result.id) for result in results]
    name = "delete_selected" if action == "delete" else f"{action}_chosen"
    return client.post(RUNS, {"action": name, "_selected_action": ids, **data}, follow=True)
