"""Real Celery worker processes for tests."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from django.conf import settings
from django.db import connections
from kombu import Connection

from tests import celery_settings
from tests.patience import PATIENCE
from tests.transports import transport_options

ROOT = Path(__file__).resolve().parent.parent


def database_url(alias):
    """Return the URL of a test database in the format of dj_database_url."""
    config = connections[alias].settings_dict
    if "sqlite3" in config["ENGINE"]:
        return f"sqlite:///{config['NAME']}"
    scheme = {"postgresql": "postgres", "mysql": "mysql"}[config["ENGINE"].rsplit(".", 1)[1]]
    password = f":{config['PASSWORD']}" if config["PASSWORD"] else ""
    return f"{scheme}://{config['USER']}{password}@{config['HOST']}:{config['PORT']}/{config['NAME']}"


#: The name of each worker on a broker must be unique, because RabbitMQ locks the queue that is named after it.
_numbers = count()


class Worker:
    """A worker process that writes its log to a file."""

    def __init__(self, log, env, pool="prefork", concurrency=2, name="w1", extra=()):
        self.log = Path(log)
        self.hostname = f"{name}@test-{os.getpid()}-{next(_numbers)}"
        command = [sys.executable, "-m", "celery", "-A", "testproject", "worker", "--pool", pool]
        command += ["--concurrency", str(concurrency), "--hostname", self.hostname, "--loglevel", "INFO"]
        command += ["--without-mingle", "--without-gossip", *extra]
        if self.log.exists():
            # Keep the log of an earlier test: it may have failed.
            self.log.rename(f"{self.log}.{time.time_ns()}")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until_ready(self):
        """Wait until the worker consumes, and return it."""
        deadline = time.monotonic() + PATIENCE
        while " ready." not in self.log.read_text(errors="replace"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
        return self

    def stop(self):
        """Shut the worker down warmly; kill it if that takes too long."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """Send SIGKILL to the worker and its pool processes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=PATIENCE)


def environment(alias, broker_url, queue, **more):
    """Return the environment of a worker process for the database and broker of a test."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("COV_")}
    env.update(
        DJANGO_SETTINGS_MODULE="tests.settings",
        DATABASE_URL=database_url(alias),
        CELERY_BROKER_URL=broker_url,
        TEST_QUEUE=queue,
        TEST_RECEIVERS="1",
        PYTHONPATH=str(ROOT),
        # Celery refuses to run as root if pickle is accepted, but tests in a container often run as root.
        C_FORCE_ROOT="1",
        # Workers that outlive a test must not repair what the next test has broken.
        TEST_TASKTREE='{"SWEEP": false}',
    )
    return {**env, **more}


@contextmanager
def use_broker(app, service, queue, transport=None):
    """Let this process publish to a broker, by default with the transport options of the tests."""
    transport = transport or transport_options(service.url, queue)
    before = {name: app.conf[name] for name in ("broker_url", "broker_transport_options", "task_default_queue")}
    _configure(app, {"broker_url": service.url, "broker_transport_options": transport, "task_default_queue": queue})
    try:
        yield
    finally:
        _configure(app, before)


def _configure(app, values):
    celery_settings.put(app, values)
    app.conf.broker_read_url = app.conf.broker_write_url = None
    app.amqp.__dict__.pop("queues", None)
    app.amqp.__dict__.pop("default_queue", None)
    app.amqp.__dict__.pop("send_task_message", None)
    app.amqp.__dict__.pop("router", None)
    app.amqp._rtable = None
    # Reset Celery's connection pools.
    app._after_fork()


def queue_of(stack):
    """Return a queue that no other test session on the same broker uses."""
    return f"tests-{stack}-{os.getpid()}"


def delete_queue(service, queue):
    """Delete a queue, and all keys with its prefix on Redis."""
    with Connection(service.url, transport_options=transport_options(service.url, queue)) as connection:
        connection.channel().queue_delete(queue)  # type: ignore[attr-defined]
    if service.driver == "redis":
        from redis import Redis

        with Redis.from_url(service.url) as client:
            for key in client.scan_iter(f"{queue}:*"):
                client.delete(key)


def purge_queue(service, queue):
    """Remove the messages that a worker which outlives the test would have to process."""
    with Connection(service.url, transport_options=transport_options(service.url, queue)) as connection:
        connection.channel().queue_purge(queue)  # type: ignore[attr-defined]


def log_dir():
    """Return the directory for logs of workers of this process, because others may run the same tests concurrently."""
    path = Path(settings.VAR_DIR) / "worker-logs" / str(os.getpid())
    path.mkdir(parents=True, exist_ok=True)
    return path
