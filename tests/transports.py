"""The transport options of the tests' brokers."""

from typing import Any

from testproject.settings import filesystem_broker


def transport_options(url: str, queue: str) -> dict[str, Any]:
    """Return the options of a broker for one queue.

    On Redis, the keys of each queue have a prefix of their own. Otherwise all workers on one database of the server
    share the table of messages that are not acknowledged, and one with a short visibility timeout would return the
    messages of the workers of other tests to their queues.
    """
    scheme = url.split(":")[0]
    if scheme == "memory":
        return {"polling_interval": 0.01}
    if scheme == "filesystem":
        return filesystem_broker()
    return {"global_keyprefix": f"{queue}:"} if scheme == "redis" else {}
