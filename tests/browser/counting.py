"""Count the queries of requests."""

from contextlib import contextmanager

from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.databases import active_alias

_counts = []


class Count:
    """The queries of requests.

    Attributes:
        requests: the path and the number of queries of each request.
        backends: the process IDs of the PostgreSQL backends that served them.
    """

    def __init__(self):
        self.requests = []
        self.backends = set()


@contextmanager
def counting():
    """Count the requests of all threads while the block runs."""
    count = Count()
    _counts.append(count)
    try:
        yield count
    finally:
        _counts.remove(count)


class CountQueries:
    """A middleware that counts the queries of each request, for the blocks of :func:`counting`."""

    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        if not _counts:
            return self._get_response(request)
        connection = connections[active_alias()]
        with CaptureQueriesContext(connection) as captured:
            response = self._get_response(request)
        for count in _counts:
            count.requests.append((request.path, len(captured)))
            if connection.connection is not None:
                count.backends.add(connection.connection.info.backend_pid)
        return response
