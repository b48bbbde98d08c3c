"""Which databases and brokers this machine has; where ``TASKTREE_REQUIRE_SERVICES=1`` a missing one fails its tests."""

import importlib.util
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

REQUIRED = os.environ.get("TASKTREE_REQUIRE_SERVICES") == "1"


@dataclass(frozen=True)
class Service:
    """A server, and the Python package that speaks to it."""

    name: str
    url: str
    driver: str

    @property
    def missing(self) -> str | None:
        """Say what is missing, or None."""
        if self.driver and importlib.util.find_spec(self.driver) is None:
            return f"{self.name}: the package {self.driver} is not installed"
        parts = urlsplit(self.url)
        if not parts.hostname:
            return None
        try:
            socket.create_connection((parts.hostname, parts.port or 0), timeout=2).close()
        except OSError as exc:
            return f"{self.name}: nothing answers at {parts.hostname}:{parts.port} ({exc})"
        return None


SQLITE = Service("SQLite", "sqlite://", "")
POSTGRESQL = Service(
    "PostgreSQL", os.environ.get("TEST_POSTGRESQL_URL", "postgres://postgres@127.0.0.1:5432/postgres"), "psycopg"
)
MARIADB = Service("MariaDB", os.environ.get("TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/test"), "MySQLdb")
FILESYSTEM = Service("filesystem", "filesystem://", "")
REDIS = Service("Redis", os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9"), "redis")
RABBITMQ = Service("RabbitMQ", os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"), "amqp")

DATABASES = {"default": SQLITE, "postgresql": POSTGRESQL, "mariadb": MARIADB}
BROKERS = {"filesystem": FILESYSTEM, "redis": REDIS, "rabbitmq": RABBITMQ}


def need(*services: Service) -> None:
    """Skip the test, or fail it where services are required, if one is missing."""
    for service in services:
        missing = service.missing
        if missing is None:
            continue
        if REQUIRED:
            pytest.fail(f"TASKTREE_REQUIRE_SERVICES=1, but {missing}")
        pytest.skip(missing)
