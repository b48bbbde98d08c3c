"""The cases of ``zone_cases`` with ``USE_TZ`` and ``enable_utc`` on and off, east and west of UTC."""

import os
import subprocess
import sys

import pytest

from tests.patience import PATIENCE

ZONES = ["Asia/Tokyo", "America/New_York"]
SETTINGS = [(use_tz, enable_utc) for use_tz in (True, False) for enable_utc in (True, False)]


@pytest.mark.parametrize(("use_tz", "enable_utc"), SETTINGS)
@pytest.mark.parametrize("zone", ZONES)
def test_times_are_equal_in_each_setting(zone, use_tz, enable_utc):
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TEST_TIME_ZONE": zone,
        "TEST_USE_TZ": str(int(use_tz)),
        "TEST_ENABLE_UTC": str(int(enable_utc)),
    }
    command = [sys.executable, "-m", "tests.integration.encoding.zone_cases"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
