"""The broker's queues: to which one a message goes, and how many messages wait there."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from django_tasktree.worker.publisher import unreachable
from django_tasktree.worker.timed_broker import timed_connection

logger = logging.getLogger(__name__)

_NOT_FOUND = "404"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes; ``queue`` is None where nobody can tell."""

    queue: str | None
    priority: int | None = None


def target_of(app: Any, task_name: str, options: dict[str, Any]) -> Target:
    """Tell to which queue a node's message goes, as Celery would route it.

    Args:
        app: the Celery application.
        task_name: the task.
        options: the node's own.
    """
    task = app.tasks.get(task_name)
    given = {**(task._get_exec_options() if task is not None else {}), **options}
    if (given.get("exchange") or given.get("routing_key")) and not given.get("queue"):
        return Target(None)
    try:
        routed = app.amqp.router.route(given, task_name, (), {})
    except Exception:
        logger.exception("the route of task %s can't be told without its arguments", task_name)
        return Target(None)
    queue = routed.get("queue")
    return Target(getattr(queue, "name", queue), routed.get("priority"))


class Queues:
    """Asks the broker, on a connection of its own; each queue once."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._stack = ExitStack()
        self._connection: Any = None
        self._depths: dict[str, int | None] = {}

    def __enter__(self) -> "Queues":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def depth(self, queue: str) -> int | None:
        """Tell how many messages wait in a queue, those that a worker has fetched left out.

        Args:
            queue: its name; one that does not exist is empty.

        Returns:
            None where the transport can't tell.

        Raises:
            OperationalError: the broker can't be reached.
        """
        if queue not in self._depths:
            self._depths[queue] = self._ask(queue)
        return self._depths[queue]

    def _ask(self, queue: str) -> int | None:
        if self._connection is None:
            self._connection = self._stack.enter_context(timed_connection(self._app))
        try:
            with self._connection.channel() as channel:
                return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except self._connection.channel_errors as exc:
            if str(getattr(exc, "reply_code", "")) == _NOT_FOUND:
                return 0
            logger.warning("the broker does not tell how many messages wait in queue %s (%r)", queue, exc)
            return None
        except unreachable(self._app):
            raise
        except Exception:
            logger.exception("the broker's transport can't tell how many messages wait in queue %s", queue)
            return None
