"""The JavaScript tests, run by the test runner of Node.js, and the folder of the scripts."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import django_tasktree
from django_tasktree.reporting.static_files import SCRIPTS, STYLES
from tests import services

ROOT = Path(__file__).resolve().parents[3]
STATIC = Path(django_tasktree.__file__).parent / "static"
TESTS = sorted((ROOT / "tests" / "js").glob("*.test.js"))


def test_the_javascript_tests_pass():
    node = shutil.which("node")
    if node is None:
        message = "Node.js is not installed (package nodejs), which runs tests/js"
        if services.REQUIRED:
            pytest.fail(message)
        pytest.skip(message)
    assert TESTS
    done = subprocess.run(
        [node, "--test", *map(str, TESTS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    # A file that cannot be run counts as one test.
    (count,) = re.findall(r"^\D*tests (\d+)$", done.stdout, re.MULTILINE)
    assert int(count) > len(TESTS)


def test_the_scripts_are_in_a_folder_of_this_version():
    """See ``reporting/static_files.py`` for the reason."""
    folders = [path.name for path in (STATIC / SCRIPTS).parent.iterdir()]
    assert folders == [django_tasktree.__version__], "rename the folder, by git mv, to the version"
    imports = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["imports"]
    assert imports == {"#js/*": f"./django_tasktree/static/{SCRIPTS}/*"}


def test_each_style_sheet_is_referenced():
    found = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*.css")}
    assert found == {*STYLES, "django_tasktree/css/completion.css", "django_tasktree/css/progress.css"}
    assert len(STYLES) == len(set(STYLES))
