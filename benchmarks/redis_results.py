"""A second Celery application for canvases: its results are stored in Redis, and its queue is its own."""

from typing import Any

from celery import Celery
from redis import Redis

from benchmarks.environment import REDIS, queue

#: The beginning of the keys of all results.
PREFIX = queue("-results:")

app = Celery("benchmarks-redis", set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    result_backend=REDIS,
    result_backend_transport_options={"global_keyprefix": PREFIX},
    task_default_queue=queue("-redis"),
)
app.autodiscover_tasks(["benchmarks"])


def clear() -> None:
    """Delete all results."""
    server = Redis.from_url(REDIS)
    for key in server.scan_iter(match=f"{PREFIX}*", count=1000):
        server.delete(key)


def count() -> int:
    """Return how many tasks have a result; Redis counts them, because to fetch their keys would take longer."""
    server: Any = Redis.from_url(REDIS)
    return int(server.eval("return #redis.call('keys', ARGV[1])", 0, f"{PREFIX}celery-task-meta-*"))
