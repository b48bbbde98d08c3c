"""Forked processes of a worker inherit no open database connection."""

import subprocess
import sys
import textwrap

import pytest

PREAMBLE = """
import os, sys, threading, types
import django
django.setup()
from django.db import connection
from django_tasktree.worker import fork_safety

def fork_and_report():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if connection.connection is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def start_worker(pool):
    fork_safety._on_worker_init(sender=types.SimpleNamespace(pool_cls=pool))
"""


def _run(script):
    """Run a script in a process of its own, because hooks of fork cannot be removed; return its output."""
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
    output = _run(f"""
        start_worker({pool!r})
        connection.ensure_connection()
        print(fork_and_report())
    """)
    assert output == inherited


def test_nothing_forks_while_another_thread_writes():
    output = _run("""
        start_worker("prefork")
        order = []
        inside, resume = threading.Event(), threading.Event()

        def write():
            with fork_safety.parent_connections():
                connection.ensure_connection()
                inside.set()
                resume.wait()
                order.append("written")

        writer = threading.Thread(target=write)
        writer.start()
        inside.wait()
        threading.Timer(0.2, resume.set).start()
        fork_and_report()
        order.append("forked")
        writer.join()
        print(*order)
    """)
    assert output == "written forked"


def test_a_process_that_a_task_forks_keeps_its_connection():
    output = _run("""
        start_worker("prefork")
        pid = os.fork()
        if pid == 0:
            connection.ensure_connection()
            os._exit(fork_and_report())
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """)
    assert output == "1"
