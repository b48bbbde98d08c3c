"""Ask the broker for the number of messages that wait in a queue."""

import logging
from contextlib import ExitStack
from typing import Any

from django_tasktree.dispatch.publisher import unreachable
from django_tasktree.dispatch.timed_broker import timed_connection

logger = logging.getLogger(__name__)

_NOT_FOUND = "404"


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
