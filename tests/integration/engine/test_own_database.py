"""A project with a separate database for runs: its tests run in a process with its settings."""

import os
import subprocess
import sys

import pytest

from tests import services, workers

TESTS = workers.ROOT / "tests" / "own_database" / "in_project.py"


@pytest.mark.worker
def test_a_project_with_two_databases():
    services.need(services.POSTGRESQL, services.REDIS)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n", "0", str(TESTS)],
        cwd=workers.ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "tests.own_database.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
