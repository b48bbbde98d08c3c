"""Make the pictures of the documentation: ``make screenshots``.

A fresh database, invented runs, a real server and a real browser. Each page is taken in light and dark colours, and on
a narrow screen.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "docs" / "_static" / "screenshots"
ADDRESS = "http://127.0.0.1:8765"
CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")


def main() -> None:
    """Make all of them, or those whose names are given."""
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as var:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "docs.screenshots.settings", "TESTPROJECT_VAR": var}
        import django

        django.setup()
        from django.core.management import call_command

        from docs.screenshots import pages, scenes

        call_command("migrate", verbosity=0)
        shown = scenes.make()
        TARGET.mkdir(parents=True, exist_ok=True)
        with _server():
            pages.take(ADDRESS, shown, TARGET, CHROMIUM, sys.argv[1:])


@contextmanager
def _server() -> Iterator[None]:
    command = [sys.executable, "manage.py", "runserver", "--noreload", ADDRESS.removeprefix("http://")]
    server = subprocess.Popen(  # noqa: S603  our own
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(ADDRESS)
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
