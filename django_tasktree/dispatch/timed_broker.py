"""Connections to the broker with a time limit for each operation: a broker may accept a connection and never answer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

#: The time limit of an operation on the connection, in seconds.
MAX_SECONDS = 5

#: The options of the transports, by the type of their driver.
OPTIONS: dict[str, dict[str, Any]] = {
    "redis": {"socket_timeout": MAX_SECONDS, "socket_connect_timeout": MAX_SECONDS},
    "amqp": {"read_timeout": MAX_SECONDS, "write_timeout": MAX_SECONDS},
}


@contextmanager
def timed_connection(app: Any) -> Iterator[Any]:
    """Yield a new connection to an application's broker, with time limits.

    Transports other than Redis and AMQP keep their own limits.

    Args:
        app: the Celery application.

    Raises:
        OperationalError: if the broker can't be reached.
    """
    kind = app.connection_for_write().transport.driver_type
    with app.connection_for_write(transport_options=OPTIONS.get(kind, {}), connect_timeout=MAX_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=MAX_SECONDS)
        yield connection


class TimedProducer:
    """A producer on a timed connection, which is opened at the first use and again after an error."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._producer: Any = None

    @contextmanager
    def get(self, app: Any) -> Iterator[Any]:
        """Yield the producer.

        Args:
            app: the Celery application.

        Raises:
            OperationalError: if the broker can't be reached.
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
