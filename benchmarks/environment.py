"""Temporary databases and workers for benchmarks."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
POSTGRESQL = os.environ.get("BENCH_POSTGRESQL_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/13")
START_TIMEOUT = 60


class Unavailable(Exception):
    """A server that the benchmarks need is not available."""


@contextmanager
def prepared() -> Iterator[None]:
    """Create a database and set Django up; afterwards drop the database and empty the Redis database."""
    database = f"tasktree_bench_{os.getpid()}"
    _admin_sql(f'CREATE DATABASE "{database}"')
    _flush_redis()
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(POSTGRESQL)._replace(path=f"/{database}"))
    os.environ["CELERY_BROKER_URL"] = REDIS
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ.setdefault("TESTPROJECT_VAR", tempfile.mkdtemp(prefix="tasktree-bench-"))
    try:
        _set_up_django()
        yield
    finally:
        _close_connections()
        _admin_sql(f'DROP DATABASE "{database}" WITH (FORCE)')
        _flush_redis()


@contextmanager
def worker(concurrency: int = 2) -> Iterator[int]:
    """Run one prefork worker; yield its process ID."""
    command = [sys.executable, "-m", "celery", "-A", "testproject", "worker", "--loglevel", "INFO"]
    command += ["--concurrency", str(concurrency), "--without-mingle", "--without-gossip"]
    log = Path(os.environ["TESTPROJECT_VAR"]) / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(process, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while " ready." not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"the worker did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _admin_sql(statement: str) -> None:
    try:
        import psycopg

        with psycopg.connect(POSTGRESQL.replace("postgres://", "postgresql://"), autocommit=True) as connection:
            connection.execute(statement.encode())  # a name can't be a parameter
    except (ImportError, psycopg.OperationalError) as exc:
        raise Unavailable(f"PostgreSQL is needed at {POSTGRESQL} (BENCH_POSTGRESQL_URL): {exc}") from exc


def _flush_redis() -> None:
    try:
        import redis

        redis.Redis.from_url(REDIS).flushdb()
    except (ImportError, redis.ConnectionError) as exc:
        raise Unavailable(f"Redis is needed at {REDIS} (BENCH_REDIS_URL): {exc}") from exc


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
