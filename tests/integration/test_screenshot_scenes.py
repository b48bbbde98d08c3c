"""What the pictures of the documentation show can be made: it follows the models."""

import os
import subprocess
import sys

from tests import workers
from tests.patience import PATIENCE

CODE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from docs.screenshots import scenes
print(sorted(scenes.make()))
"""


def test_the_scenes_can_be_made(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DATABASE_URL", "CELERY_"))}
    env |= {"DJANGO_SETTINGS_MODULE": "docs.screenshots.settings", "TESTPROJECT_VAR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=env,
        cwd=workers.ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'album'" in done.stdout
