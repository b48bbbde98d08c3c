"""Send messages of nodes back to their queue if their task is not registered on this worker.

During a rolling deploy, workers with the old code receive messages of tasks that only the new code has.
"""

import logging
import time
from typing import Any

from django_tasktree.conf import settings
from django_tasktree.dispatch.message import HEADER
from django_tasktree.worker import lost_attempts
from django_tasktree.worker.held_requests import hold

logger = logging.getLogger(__name__)

#: The field of the header with the Unix time at which a worker first received the message without knowing its task.
_SINCE = "unknown_since"
#: The limits of the delay before a message is sent back, in seconds. The delay grows with the message's age.
_FIRST_PAUSE = 1.0
_MAX_PAUSE = 20.0


class GivenBack:
    """A message that this worker holds until it sends it back.

    Attributes:
        id: the message's task ID.
        has_ended: whether the message was sent back.
    """

    def __init__(self, consumer: Any, message: Any, name: str, task_id: str, since: float) -> None:
        self.id = task_id
        self.has_ended = False
        self._consumer = consumer
        self._name = name
        self._headers = {**message.headers, HEADER: {**message.headers[HEADER], _SINCE: since}}
        self._body = message.body
        self._message = message

    def send(self) -> None:
        """Send the message to the queue from which it came; if that fails, the sweep sends it later."""
        self.has_ended = True
        route = self._message.delivery_info
        try:
            with self._consumer.app.producer_or_acquire() as producer:
                producer.publish(
                    self._body,
                    exchange=route.get("exchange") or "",
                    routing_key=route.get("routing_key"),
                    headers=self._headers,
                    content_type=self._message.content_type,
                    content_encoding=self._message.content_encoding,
                    priority=route.get("priority"),
                    correlation_id=self._message.properties.get("correlation_id"),
                    reply_to=self._message.properties.get("reply_to"),
                    delivery_mode=2,
                    retry=False,
                )
        except Exception:
            logger.exception("the message of task %s[%s] could not be sent back to its queue", self._name, self.id)


def give_back(consumer: Any, message: Any, name: str, task_id: str) -> None:
    """Send a node's message back after a delay, or fail the node after ``UNKNOWN_TASK_RETRY_FOR`` seconds.

    Args:
        consumer: the worker's consumer, which has just rejected the message.
        message: the message; ignored if it is not for a node.
        name: the name of the task.
        task_id: the message's task ID.
    """
    header = message.headers.get(HEADER)
    if not header:
        return
    now = time.time()
    since = float(header.get(_SINCE, now))
    elapsed = max(0.0, now - since)
    if elapsed >= settings.unknown_task_retry_for:
        lost_attempts.task_unknown(message.headers, task_id, name, consumer.hostname)
        return
    pause = min(max(elapsed, _FIRST_PAUSE), _MAX_PAUSE)
    given_back = GivenBack(consumer, message, name, task_id, since)
    hold(given_back)
    logger.warning(
        "task %s[%s] is not registered on worker %s: its message is sent back to the queue in %.0f s",
        name,
        task_id,
        consumer.hostname,
        pause,
    )
    # The timer's reference keeps the object alive, so that the worker's row lists the message as held.
    consumer.timer.call_after(pause, given_back.send)
