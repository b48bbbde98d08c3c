"""The definitions that the workers of tests know. Other processes register them where a test needs them."""

from django_tasktree import TaskTree, register_tree
from tests.sample.sub_run_tasks import report


def fragile(marker: str) -> TaskTree:
    """Return a tree whose task is killed with its process, and runs again."""
    from tests.sample.tasks import kill_own_process

    tree = TaskTree("fragile")
    tree.returns(tree.add_task(kill_own_process, [marker]).output)
    return tree


def lasting() -> TaskTree:
    """Return a tree whose task runs longer than a test."""
    from tests.sample.tasks import sleep

    tree = TaskTree("lasting")
    tree.add_task(sleep, [600], label="sleep").add_task(sleep, [600], label="below")
    return tree


def register() -> None:
    """Register the definitions, in a worker."""
    for function in (report, fragile, lasting):
        register_tree(function)
