"""A server with the scenes of the documentation's screenshots, in one of several themes of the admin."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

from tests import workers
from tests.patience import PATIENCE, until

#: The stock admin, and the themes that most projects use.
THEMES = ["", "unfold", "jazzmin", "grappelli"]
_SCENES = """
import django, json; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from docs.screenshots import pages, scenes
found = {name: path for name, (path, _) in pages.pages_of(scenes.make()).items()}
print(json.dumps({"pages": found, "cookie": pages.session_cookie("")}))
"""


class Site:
    """A running server.

    Attributes:
        url: its address.
        pages: the path of each page by its name.
        cookie: the cookie of a session that is logged in.
    """

    def __init__(self, url, scenes):
        self.url, self.pages = url, scenes["pages"]
        self.cookie = {**scenes["cookie"], "url": url}


def make_scenes(folder):
    """Create the runs that the pages show; return the paths of the pages and the session cookie."""
    done = subprocess.run(
        [sys.executable, "-c", _SCENES],
        env=_environment(folder),
        cwd=workers.ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def serving(scenes, source, folder, theme):
    """Serve a copy of the scenes in a theme, and yield the site."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = folder / "server.log"
    with log.open("w") as output:
        command = [sys.executable, "manage.py", "runserver", "--noreload", address]
        server = subprocess.Popen(
            command, env=_environment(folder, theme), cwd=workers.ROOT, stdout=output, stderr=output
        )
        try:
            _wait_for(server, f"http://{address}/admin/login/", log)
            yield Site(f"http://{address}", scenes)
        finally:
            server.terminate()
            server.wait()


def _wait_for(server, url, log):
    def answers():
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url):
                return True
        except OSError:
            return False

    until(answers, lambda: f"the start of the server: {log.read_text()}")


def _environment(folder, theme=""):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DATABASE_URL", "CELERY_"))}
    return env | {
        "DJANGO_SETTINGS_MODULE": "docs.screenshots.settings",
        "TESTPROJECT_VAR": str(folder),
        "TASKTREE_THEME": theme,
    }
