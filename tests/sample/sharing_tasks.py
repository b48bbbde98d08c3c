"""Tasks that show how they run when they share a message."""

from django_tasktree import current_node, task_with_callbacks
from django_tasktree.engine.transitions import nodes
from tests.patience import until


@task_with_callbacks(bind=True)
def describe_request(self, *_args):
    """Return what the task function can see of its message."""
    request = self.request
    names: tuple[str, ...] = ("args", "kwargs", "retries", "eta", "expires", "timelimit", "argsrepr", "kwargsrepr")
    names = (*names, "hostname", "is_eager", "origin")
    seen = {name: getattr(request, name, "none") for name in names}
    return {
        **seen,
        "id is the node's": request.id == str(current_node().task_id),
        "root is the run": request.root_id == str(current_node().run_id),
        "correlation": request.correlation_id == request.id,
        "called": request.called_directly,
        "delivery": sorted(request.delivery_info),
        "shadow": request.shadow,
        "ignores": request.ignore_result,
        "headers": sorted(request.headers or {}),
        "header": sorted((request.headers or {}).get("tasktree", {})),
    }


@task_with_callbacks
def wait_for_siblings():
    """Run until the siblings before this one have succeeded and those after it wait for another process."""
    me = current_node()

    def nobody_waits_for_it():
        siblings = nodes().under(me.run_id, me.parent_id).exclude(id=me.id).order_by("id")
        return {str(state) for state in siblings.filter(id__gt=me.id).values_list("state", flat=True)} == {
            "QUEUED"
        } and {str(state) for state in siblings.filter(id__lt=me.id).values_list("state", flat=True)} == {"SUCCESS"}

    until(nobody_waits_for_it)
    return "long"
