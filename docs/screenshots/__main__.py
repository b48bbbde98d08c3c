"""Make the screenshots of the documentation: ``make screenshots``.

It uses a new database, example runs, a real server and a real browser. Each page is taken in light and dark colours,
and on a narrow screen.
"""

import argparse
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
    """Make all screenshots, or those of the pages that the arguments name."""
    options = _options()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as var:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "docs.screenshots.settings",
            "TESTPROJECT_VAR": var,
            "TASKTREE_THEME": options.theme,
        }
        import django

        django.setup()
        from django.core.management import call_command

        from docs.screenshots import pages, scenes

        call_command("migrate", verbosity=0)
        shown = scenes.make()
        options.target.mkdir(parents=True, exist_ok=True)
        with _server():
            pages.take(ADDRESS, shown, options.target, CHROMIUM, options.pages)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="the name of a page; by default all")
    parser.add_argument("--theme", default="", help="a theme of the admin that is installed, as unfold")
    parser.add_argument("--target", type=Path, default=TARGET, help="the folder for the pictures")
    return parser.parse_args()


@contextmanager
def _server() -> Iterator[None]:
    command = [sys.executable, "manage.py", "runserver", "--noreload", ADDRESS.removeprefix("http://")]
    server = subprocess.Popen(  # noqa: S603  a fixed command
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
