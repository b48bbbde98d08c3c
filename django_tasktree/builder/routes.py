"""Find the queue of a node's message, as Celery routes it."""

import logging
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of a message.

    Attributes:
        queue: the name of the queue; None if it can't be determined.
        priority: the message's priority, if it has one.
    """

    queue: str | None
    priority: int | None = None


def target_of(app: Any, task_name: str, options: dict[str, Any]) -> Target:
    """Return the destination of a node's message, as Celery routes it.

    Args:
        app: the Celery application.
        task_name: the name of the task.
        options: the node's message options.

    Returns:
        A target without a queue if the options name an exchange or a routing key, or a router raises an exception
        because it needs the task's arguments.
    """
    task = app.tasks.get(task_name)
    given = {**(task._get_exec_options() if task is not None else {}), **options}
    if (given.get("exchange") or given.get("routing_key")) and not given.get("queue"):
        return Target(None)
    try:
        routed = app.amqp.router.route(given, task_name, (), {})
    except Exception:
        logger.exception("the routers could not find the queue of task %s without its arguments", task_name)
        return Target(None)
    queue = routed.get("queue")
    return Target(getattr(queue, "name", queue), routed.get("priority"))


def leaves_sending_to_celery(task: Any) -> bool:
    """Return whether the class of a task has Celery's own ``apply_async``.

    Other classes may refuse to send a message, or add headers to each.
    """
    module = getattr(type(task).apply_async, "__module__", None) or ""
    return module.split(".")[0] in ("celery", "django_tasktree")
