"""Worker processes that fork take no open database connection with them."""

import subprocess
import sys
import textwrap

import pytest

PREAMBLE = """
import os, sys, threading, types
import django
django.setup()
from django.db import connection
from django_tasktree.worker import forking

def fork_and_look():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if connection.connection is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def start_worker(pool):
    forking._on_worker_init(sender=types.SimpleNamespace(pool_cls=pool))
"""


def _run(script):
    """Run a script in a process of its own: what watches forks stays for good."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script)],
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("pool", "inherited"), [("prefork", "0"), ("threads", "1")])
def test_a_pool_process_inherits_no_connection(pool, inherited):
    told = _run(f"""
        start_worker({pool!r})
        connection.ensure_connection()
        print(fork_and_look())
    """)
    assert told == inherited


def test_nothing_forks_while_another_thread_writes():
    told = _run("""
        start_worker("prefork")
        order = []
        inside, go_on = threading.Event(), threading.Event()

        def write():
            with forking.parent_connections():
                connection.ensure_connection()
                inside.set()
                go_on.wait()
                order.append("written")

        writer = threading.Thread(target=write)
        writer.start()
        inside.wait()
        threading.Timer(0.2, go_on.set).start()
        fork_and_look()
        order.append("forked")
        writer.join()
        print(*order)
    """)
    assert told == "written forked"


def test_what_a_task_forks_is_left_alone():
    told = _run("""
        start_worker("prefork")
        pid = os.fork()
        if pid == 0:
            connection.ensure_connection()
            os._exit(fork_and_look())
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """)
    assert told == "1"
