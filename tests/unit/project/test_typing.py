"""Type checking of code that uses the public names, with mypy; ``make types`` runs a second type checker."""

import re
import subprocess
import sys

import pytest

from tests import documents

pytestmark = pytest.mark.exhaustive


def mypy(path):
    command = [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", "--strict", str(path)]
    return subprocess.run(command, cwd=documents.ROOT, capture_output=True, text=True, check=False)


def test_mypy_accepts_code_of_users():
    done = mypy("tests/typing")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_accepts_the_examples_of_the_documentation(tmp_path):
    page = documents.DOCS / "tasks.rst"
    lines = page.read_text(encoding="utf-8").splitlines()
    section = range(lines.index(".. _types:"), lines.index("What is not allowed, and why"))
    blocks = [example for example in documents.examples(page) if int(example.place.rpartition(":")[2]) in section]
    source = "\n".join(block.source for block in blocks)
    path = tmp_path / "example.py"
    path.write_text(source, encoding="utf-8")
    reported = {int(line) for line in re.findall(r"example\.py:(\d+): error:", mypy(path).stdout)}
    expected = {number for number, line in enumerate(source.splitlines(), 1) if "  # error: " in line}
    assert expected
    assert reported == expected
