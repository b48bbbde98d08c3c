"""Tasks whose nodes are replaced, and functions that build the trees of sub-runs."""

from datetime import timedelta

from celery import Signature
from celery.exceptions import Ignore

from django_tasktree import TaskTree, current_node, task_with_callbacks
from tests.sample.models import Effect


@task_with_callbacks(bind=True)
def replaced(self, signature):
    """Let a canvas take the place of the task."""
    return self.replace(Signature.from_dict(signature))


@task_with_callbacks(bind=True, atomic=True)
def replaced_atomically(self, signature, note):
    """Write a row, and let a canvas take the place of the task."""
    Effect.objects.create(node=current_node().id, note=note)
    return self.replace(Signature.from_dict(signature))


@task_with_callbacks(bind=True, autoretry_for=(Exception,), max_retries=2, default_retry_delay=0)
def replaced_at_last(self, signature):
    """Fail once, and let a canvas take the place of the task after that."""
    if not self.request.retries:
        raise ValueError("the first attempt fails")
    return self.replace(Signature.from_dict(signature))


@task_with_callbacks(bind=True)
def replaced_again(self, levels):
    """Let itself, with one level less, take the place of the task."""
    return self.replace(self.s(levels - 1)) if levels else "the end"


@task_with_callbacks(bind=True)
def grown_and_replaced(self, signature):
    """Try to add a node, and to let a canvas take the place of the task."""
    current_node().add_task("tests.sample.tasks.echo")
    return self.replace(Signature.from_dict(signature))


@task_with_callbacks(bind=True)
def replaced_in_vain(self, signature):
    """Catch the exception by which the task is replaced."""
    try:
        self.replace(Signature.from_dict(signature))
    except Ignore:
        return "stayed"


def report(day: int, fails: bool = False) -> TaskTree:
    """Return a tree with a result, which fails if wanted."""
    from tests.sample.tasks import add, fail

    tree = TaskTree("report")
    first = tree.add_task(add, [day, 1], label="first")
    if fails:
        first.add_task(fail, label="bad")
    last = tree.gather(add, [first.output, 100], label="last", run_when="always")
    tree.returns({"total": last.output})
    return tree


def asking(name: str = "ok") -> TaskTree:
    """Return a tree that waits for an event, whose payload is its result."""
    tree = TaskTree("asking")
    tree.returns(tree.wait_for(name).output)
    return tree


def nested(levels: int) -> TaskTree:
    """Return a tree that starts itself, with one level less."""
    tree = TaskTree("nested")
    node = tree.add_run("nested", {"levels": levels - 1}) if levels else tree.wait_for("ok")
    tree.returns(node.output)
    return tree


def sleeping(levels: int = 0) -> TaskTree:
    """Return a tree that sleeps for a long time, or starts itself with one level less."""
    tree = TaskTree("sleeping")
    if levels:
        tree.add_run("sleeping", {"levels": levels - 1})
    else:
        tree.sleep(timedelta(days=100), label="nap")
    return tree


def resting() -> TaskTree:
    """Return a tree that sleeps for an hour."""
    tree = TaskTree("resting")
    tree.sleep(timedelta(hours=1), label="rest")
    return tree


def endless() -> TaskTree:
    """Return a tree that starts itself without an end."""
    tree = TaskTree("endless")
    tree.add_run("endless")
    return tree


def silent() -> TaskTree:
    """Return a tree without a result."""
    from tests.sample.tasks import echo

    tree = TaskTree("silent")
    tree.add_task(echo, ["said nothing"])
    return tree
