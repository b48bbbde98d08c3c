"""Temporary databases and workers for benchmarks."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
POSTGRESQL = os.environ.get("BENCH_POSTGRESQL_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/13")
START_TIMEOUT = 60
STOP_TIMEOUT = 60


_numbers = count()


class Unavailable(Exception):
    """A server that the benchmarks need is not available."""


@contextmanager
def prepared() -> Iterator[None]:
    """Create a database and set Django up; afterwards drop the database and delete the keys in Redis."""
    os.environ["BENCH_QUEUE"] = f"tasktree-benchmarks-{os.getpid()}"
    with _redis(), database(f"tasktree_bench_{os.getpid()}") as url:
        os.environ["DATABASE_URL"] = url
        os.environ["CELERY_BROKER_URL"] = REDIS
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        os.environ.setdefault("TESTPROJECT_VAR", tempfile.mkdtemp(prefix="tasktree-bench-"))
        try:
            _set_up_django()
            yield
        finally:
            _close_connections()


def queue(suffix: str = "") -> str:
    """Return the name of a queue of this process; other benchmarks at the same time have queues of their own."""
    return os.environ["BENCH_QUEUE"] + suffix


@contextmanager
def worker(
    concurrency: int = 2,
    *,
    app: str = "testproject",
    consumes: str | None = None,
    tasktree: dict[str, Any] | None = None,
    variables: dict[str, str] | None = None,
) -> Iterator[int]:
    """Run one prefork worker; yield its process ID.

    Args:
        concurrency: the number of its pool processes.
        app: the module of the Celery application.
        consumes: the queue that it consumes; None for the application's default queue.
        tasktree: its setting ``TASKTREE``.
        variables: more environment variables.
    """
    name = f"benchmark-{os.getpid()}-{next(_numbers)}"
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel", "INFO", "--hostname", name]
    command += ["--concurrency", str(concurrency), "--without-mingle", "--without-gossip"]
    command += ["--queues", consumes] if consumes else []
    env = {**os.environ, "BENCH_TASKTREE": json.dumps(tasktree or {}), **(variables or {})}
    with background(name, command, " ready.", ROOT, env) as pid:
        yield pid


@contextmanager
def background(name: str, command: list[str], ready: str, directory: Path, env: dict[str, str]) -> Iterator[int]:
    """Run a process until the end of the block; yield its process ID as soon as it is ready.

    Args:
        name: the name of its log.
        command: the program and its arguments.
        ready: the text in its log that shows that it is ready.
        directory: its working directory.
        env: its environment variables.
    """
    log = Path(os.environ["TESTPROJECT_VAR"]) / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        _wait_until_ready(process, log, ready)
        yield process.pid
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT)


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path, ready: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while ready not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"a worker did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


@contextmanager
def database(name: str) -> Iterator[str]:
    """Create a database, and drop it after the block; yield its URL."""
    _admin_sql(f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(POSTGRESQL)._replace(path=f"/{name}"))
    finally:
        _admin_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def server_versions() -> dict[str, str]:
    """Return the versions of the servers; Django must be set up."""
    import redis
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgresql = cursor.fetchone()[0].split()[0]
    info: Any = redis.Redis.from_url(REDIS).info("server")
    return {"PostgreSQL server": postgresql, "Redis server": info["redis_version"]}


def _admin_sql(statement: str) -> None:
    try:
        import psycopg

        with psycopg.connect(POSTGRESQL.replace("postgres://", "postgresql://"), autocommit=True) as connection:
            connection.execute(statement.encode())  # a name can't be a parameter
    except (ImportError, psycopg.OperationalError) as exc:
        raise Unavailable(f"PostgreSQL is needed at {POSTGRESQL} (BENCH_POSTGRESQL_URL): {exc}") from exc


@contextmanager
def _redis() -> Iterator[None]:
    """Delete the keys of this process from Redis after the block: its queues, and results of canvases."""
    import redis

    server = redis.Redis.from_url(REDIS)
    try:
        server.ping()
    except redis.RedisError as exc:
        raise Unavailable(f"Redis is needed at {REDIS} (BENCH_REDIS_URL): {exc}") from exc
    try:
        yield
    finally:
        for key in server.scan_iter(match=f"*{queue()}*", count=1000):
            server.delete(key)


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _close_connections() -> None:
    from django.db import connections

    from django_tasktree.client.listener import stop_listening

    stop_listening()
    connections.close_all()
