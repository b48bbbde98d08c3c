"""PgBouncer in transaction mode: each transaction of a client may get another session of the server."""

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from tests.faults.private_servers import free_port, program, wait_for
from tests.workers import database_url

#: Fewer sessions than clients, so that clients share them.
SESSIONS = 2
_CONFIGURATION = """
[databases]
{name} = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
admin_users = pgbouncer
"""


class PgBouncer:
    """A pooler in front of the test database of an alias.

    Attributes:
        port: the port on which it listens.
    """

    def __init__(self, alias, directory):
        self._alias, self._directory = alias, Path(directory)
        self.port = free_port()
        self._process: Any = None

    def start(self):
        settings = connections[self._alias].settings_dict
        path = self._directory / "pgbouncer.ini"
        path.write_text(
            _CONFIGURATION.format(name=settings["NAME"], port=self.port, sessions=SESSIONS, server=_server(settings))
        )
        path.chmod(0o644)
        command = [program("pgbouncer", "/usr/sbin"), str(path)]
        # PgBouncer refuses to be run by root.
        if os.getuid() == 0:
            command[1:1] = ["--user", "nobody"]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._answers)

    def stop(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def shown(self, what):
        """Return the rows of a command ``SHOW`` of the pooler, as dictionaries."""
        url = f"postgres://pgbouncer@127.0.0.1:{self.port}/pgbouncer"
        # The pooler's own commands are not SQL, so the driver must neither prepare them nor open a transaction.
        with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            cursor = connection.execute(f"SHOW {what}")
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @property
    def url(self):
        """The URL of the database behind the pooler."""
        scheme, _, rest = database_url(self._alias).partition("://")
        user, _, place = rest.partition("@")
        return f"{scheme}://{user}@127.0.0.1:{self.port}/{place.partition('/')[2]}"

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError((self._directory / "log").read_text())
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True


def _server(settings):
    parameters = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    return " ".join(f"{name}={settings[key]}" for name, key in parameters.items() if settings[key])


@contextmanager
def pgbouncer(alias):
    """Let the connections of this process to a database go through a pooler for one test."""
    connection = connections[alias]
    before = dict(connection.settings_dict)
    with tempfile.TemporaryDirectory(prefix="tasktree-") as directory:
        Path(directory).chmod(0o755)
        pooler = PgBouncer(alias, directory)
        try:
            pooler.start()
            connection.close()
            connection.settings_dict.update(
                HOST="127.0.0.1", PORT=pooler.port, DISABLE_SERVER_SIDE_CURSORS=True, CONN_MAX_AGE=0
            )
            yield pooler
        finally:
            connection.close()
            connection.settings_dict.clear()
            connection.settings_dict.update(before)
            pooler.stop()
