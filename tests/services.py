"""The available databases and brokers; with ``TASKTREE_REQUIRE_SERVICES=1``, tests fail if theirs is missing."""

import importlib.util
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

REQUIRED = os.environ.get("TASKTREE_REQUIRE_SERVICES") == "1"
#: The aliases of databases that are not used even if they are available; ``make quick`` leaves out both servers.
LEFT_OUT = frozenset(os.environ.get("TEST_WITHOUT", "").split(","))


@dataclass(frozen=True)
class Service:
    """A server and its Python driver."""

    name: str
    url: str
    driver: str

    @property
    def missing(self) -> str | None:
        """Describe what is missing, or return None."""
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

ALL_DATABASES = {"default": SQLITE, "postgresql": POSTGRESQL, "mariadb": MARIADB}
#: The databases of the tests, by alias.
DATABASES = {alias: service for alias, service in ALL_DATABASES.items() if alias not in LEFT_OUT}
BROKERS = {"filesystem": FILESYSTEM, "redis": REDIS, "rabbitmq": RABBITMQ}


def need(*services: Service) -> None:
    """Skip the test if a service is missing, or fail it if services are required."""
    for service in services:
        if service in ALL_DATABASES.values() and service not in DATABASES.values():
            pytest.skip(f"{service.name}: left out by TEST_WITHOUT")
        missing = service.missing
        if missing is None:
            continue
        if REQUIRED:
            pytest.fail(f"TASKTREE_REQUIRE_SERVICES=1, but {missing}")
        pytest.skip(missing)
