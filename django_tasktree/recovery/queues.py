"""Find the queue of a node's message, and the number of messages that wait in a queue."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from django_tasktree.dispatch.publisher import unreachable
from django_tasktree.dispatch.timed_broker import timed_connection

logger = logging.getLogger(__name__)

_NOT_FOUND = "404"


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


class Queues:
    """The numbers of messages in the broker's queues.

    A context manager; it asks the broker for each queue once, over a connection of its own.

    Args:
        app: the Celery application.
    """

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
        """Return the number of messages that wait in a queue, without those that a worker has fetched.

        Args:
            queue: the name of the queue.

        Returns:
            0 if the queue does not exist; None if the broker or its transport does not report the number.

        Raises:
            OperationalError: if the broker can't be reached.
        """
        if queue not in self._depths:
            self._depths[queue] = self.ask(queue)
        return self._depths[queue]

    def ask(self, queue: str) -> int | None:
        """Ask the broker how many messages wait in a queue; see :meth:`depth`, which asks once."""
        if self._connection is None:
            self._connection = self._stack.enter_context(timed_connection(self._app))
        try:
            with self._connection.channel() as channel:
                if getattr(channel, "global_keyprefix", ""):
                    # With a prefix, Kombu's Redis transport looks for the queue under its name without the prefix.
                    return int(channel._size(queue))
                return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except self._connection.channel_errors as exc:
            if str(getattr(exc, "reply_code", "")) == _NOT_FOUND:
                return 0
            logger.warning("the broker does not report how many messages wait in queue %s (%r)", queue, exc)
            return None
        except unreachable(self._app):
            raise
        except Exception:
            logger.exception("the broker's transport can't report how many messages wait in queue %s", queue)
            return None
