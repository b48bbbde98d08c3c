"""Servers that a test starts on free ports, so that it can kill, empty and disconnect them."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from kombu import Connection

from tests.patience import PATIENCE
from tests.services import REQUIRED, Service


def program(name, place="/usr/bin"):
    """Find a program; the place is a pattern, because Debian installs servers outside of PATH."""
    found = next((str(path) for path in sorted(Path("/").glob(f"{place[1:]}/{name}"))), None) or shutil.which(name)
    if found is None:
        (pytest.fail if REQUIRED else pytest.skip)(f"{name} is not installed, so the test can't start a server")
    return found


def free_port():
    """Return a free port for which RabbitMQ's second port, 20,000 higher, is free too."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 20_000))
            except OSError:
                continue
            return port


def wait_for(answers):
    deadline = time.monotonic() + PATIENCE
    while not answers():
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not answer")
        time.sleep(0.05)


class _Broker:
    """A broker process."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.port = free_port()

    def start(self):
        env = {**os.environ, **self.environment()}
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), env=env, stdout=log, stderr=log, start_new_session=True)
        wait_for(self.answers)

    def kill(self):
        """Send SIGKILL, so that everything that is not on disk is lost."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def service(self) -> Service:
        raise NotImplementedError

    def environment(self):
        return {}

    def answers(self):
        try:
            with Connection(self.service.url, connect_timeout=2) as connection:
                connection.connect()
        except Exception:
            return False
        return True


class PrivateRedis(_Broker):
    """A Redis server that stores nothing on disk."""

    def command(self):
        return [program("redis-server"), "--port", str(self.port), "--save", "", "--dir", str(self.directory)]

    @property
    def service(self):
        return Service("Redis", f"redis://127.0.0.1:{self.port}/0", "redis")

    def empty(self, _queue=None):
        with Connection(self.service.url) as connection:
            connection.channel().client.flushall()  # type: ignore[attr-defined]


class PrivateRabbitMQ(_Broker):
    """A RabbitMQ server with a node name of its own."""

    def command(self):
        # Not the script in PATH, which changes the user and thereby the process group.
        return [program("rabbitmq-server", "/usr/lib/rabbitmq/bin")]

    def environment(self):
        return {
            "HOME": str(self.directory),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self._configuration()),
            "RABBITMQ_NODENAME": f"tasktree{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
        }

    def _configuration(self):
        """Write a configuration file, because that of the machine may set ports too."""
        path = self.directory / "rabbitmq.conf"
        path.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        return path

    @property
    def service(self):
        return Service("RabbitMQ", f"amqp://guest:guest@127.0.0.1:{self.port}//", "amqp")

    def empty(self, queue):
        with Connection(self.service.url) as connection:
            connection.channel().queue_purge(queue)  # type: ignore[attr-defined]


class PrivatePostgreSQL:
    """A PostgreSQL cluster."""

    alias = "postgresql"

    def __init__(self, directory):
        self.directory = Path(directory)
        self.port = free_port()
        self._bin = Path(program("initdb", "/usr/lib/postgresql/*/bin")).parent

    def create(self):
        # PostgreSQL refuses to be run by root.
        if os.getuid() == 0:
            shutil.chown(self.directory, "postgres")
        self._run(
            "initdb",
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-sync",
            "-D",
            self.data,
        )
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "tasktree")

    @property
    def data(self):
        return str(self.directory / "data")

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory}"
        self._run("pg_ctl", "start", "--wait", "-D", self.data, "--options", options, "--log", f"{self.directory}/log")

    def stop(self, mode="immediate"):
        self._run("pg_ctl", "stop", "--wait", "--mode", mode, "-D", self.data)

    def restart(self):
        """Restart as after a crash: all connections end, and the server recovers from its log."""
        self._run("pg_ctl", "restart", "--wait", "--mode", "immediate", "-D", self.data)

    def connect_again(self):
        """Close the connection of this process, which the server has ended; Django opens a new one."""
        connections[self.alias].close()

    def cut_connections(self):
        """End every connection except the one that executes the statement."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = 'tasktree'"
            )

    def _run(self, program, *arguments):
        command = [str(self._bin / program), *arguments]
        user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        # The output is not captured, because the server that pg_ctl starts would keep the pipe open.
        with (self.directory / "commands.log").open("ab") as log:
            subprocess.run(
                command, check=True, stdout=log, stderr=log, cwd=self.directory, env=self._environment(), **user
            )

    def _environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


@contextmanager
def private(server_class):
    """Provide a broker for one test."""
    with tempfile.TemporaryDirectory(prefix="tasktree-") as directory:
        Path(directory).chmod(0o755)
        server = server_class(directory)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def private_postgresql():
    """Provide a PostgreSQL cluster with the app's tables for one test; the alias ``postgresql`` refers to it."""
    with tempfile.TemporaryDirectory(prefix="tasktree-") as directory:
        Path(directory).chmod(0o755)
        server = PrivatePostgreSQL(directory)
        server.create()
        connection = connections[server.alias]
        before = dict(connection.settings_dict)
        connection.close()
        private = {"NAME": "tasktree", "USER": "postgres", "PASSWORD": "", "HOST": "127.0.0.1", "PORT": server.port}
        connection.settings_dict.update(private)
        try:
            call_command("migrate", database=server.alias, run_syncdb=True, verbosity=0)
            yield server
        finally:
            connection.close()
            connection.settings_dict.update(before)
            server.stop()
