"""``make serve`` leaves no process behind, even if it is interrupted early."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.patience import PATIENCE, until
from tests.workers import ROOT


def descendants(pid):
    """Return the descendants of a process."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.worker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", [0, 1, 2, 3, 4])
def test_no_process_is_left(tmp_path, number, processes):
    """Interrupt it as soon as it has started this number of processes."""
    env = {**os.environ, "TESTPROJECT_VAR": str(tmp_path)}
    site = subprocess.Popen(
        [sys.executable, "-m", "testproject.serve", "127.0.0.1:0"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Wait for Python: before it runs, a signal ends the process in any case.
    until(lambda: psutil.Process(site.pid).cmdline()[1:2] == ["-m"])
    time.sleep(0.3)
    until(lambda: len(descendants(site.pid)) >= processes)
    started = descendants(site.pid)
    site.send_signal(number)
    assert site.wait(PATIENCE) in (0, -number)
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in started))
