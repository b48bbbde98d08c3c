"""Connections to the broker with a time limit for every operation: a broker may accept one and never answer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

#: Seconds that an operation on the connection may take.
LONGEST = 5

_OPTIONS: dict[str, dict[str, Any]] = {
    "redis": {"socket_timeout": LONGEST, "socket_connect_timeout": LONGEST},
    "amqp": {"read_timeout": LONGEST, "write_timeout": LONGEST},
}


@contextmanager
def timed_connection(app: Any) -> Iterator[Any]:
    """Connect to the broker of an application, on a connection of its own.

    Transports other than those of Redis and AMQP keep their own limits.

    Args:
        app: the Celery application.

    Raises:
        OperationalError: the broker can't be reached.
    """
    kind = app.connection_for_write().transport.driver_type
    with app.connection_for_write(transport_options=_OPTIONS.get(kind, {}), connect_timeout=LONGEST) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=LONGEST)
        yield connection


class TimedProducer:
    """A producer on a timed connection, which is opened when it is first needed, and again after an error."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._producer: Any = None

    @contextmanager
    def get(self, app: Any) -> Iterator[Any]:
        """Lend the producer to the block.

        Args:
            app: the Celery application.

        Raises:
            OperationalError: the broker can't be reached.
        """
        try:
            if self._producer is None:
                connection = self._stack.enter_context(timed_connection(app))
                self._producer = self._stack.enter_context(app.amqp.Producer(connection, auto_declare=False))
            yield self._producer
        except BaseException:
            self._producer = None
            raise

    def close(self) -> None:
        """Close all connections that were opened."""
        self._producer = None
        self._stack.close()
