"""Run the examples of the documentation: Python, and the templates that it uses."""

import doctest
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from celery import current_app
from django.conf import settings
from django.contrib import admin
from django.dispatch import Signal
from django.test import override_settings
from django.urls import clear_url_caches

from django_tasktree import signals
from django_tasktree.testing import registered

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.rst"
DOCS = ROOT / "docs"
#: The names of the app and of the project in the examples.
APP, PROJECT = "shop", "mysite"
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Example:
    """A ``code-block`` of a document.

    Attributes:
        place: its file and line.
        language: ``python``, ``pycon`` or ``django``.
        source: its text without indentation.
        runs: whether no ``.. not run`` precedes it.
    """

    place: str
    language: str
    source: str
    runs: bool

    @property
    def module(self) -> str | None:
        """Return the module that the block defines according to its first line, or None."""
        match = re.match(rf"# ((?:{APP}|{PROJECT})/\w+)\.py\b", self.source)
        return match[1].replace("/", ".") if match else None

    @property
    def template(self) -> str | None:
        """Return the name of the template that the block is according to its first line, or None."""
        match = re.match(rf"\{{# {APP}/templates/(\S+) #\}}\n", self.source)
        return match[1] if match else None


def examples(path: Path) -> list[Example]:
    """Return the blocks of a document in order."""
    return list(_examples(path))


def run(found: list[Example], name: str) -> dict[str, Any]:
    """Run the blocks of a document in one namespace, and return it; blocks that define modules are imported.

    The module ``urls`` of the project becomes the URLs of the site.
    """
    namespace: dict[str, Any] = {"__name__": name}
    for example in found:
        if example.language == "django":
            _templates()[example.template or example.place] = example.source
        elif not example.runs:
            compile(example.source, example.place, "exec")
        elif example.module:
            _import(example)
        elif example.language == "pycon":
            _doctest(example, namespace)
        else:
            exec(compile(example.source, example.place, "exec"), namespace)
    return namespace


@contextmanager
def project(monkeypatch) -> Iterator[None]:
    """Undo at the end what examples register: modules, definitions, tasks, model admins, receivers, templates, URLs."""
    for name in (APP, PROJECT):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for signal in vars(signals).values():
        if isinstance(signal, Signal):
            monkeypatch.setattr(signal, "receivers", [*signal.receivers])
    tasks = {*current_app.tasks}
    loaders: list[Any] = [
        "django.template.loaders.app_directories.Loader",
        ("django.template.loaders.locmem.Loader", {}),
    ]
    engine: dict[str, Any] = {**settings.TEMPLATES[0], "APP_DIRS": False}
    engine["OPTIONS"] = {**engine["OPTIONS"], "loaders": loaders}
    site = override_settings(TEMPLATES=[engine], ROOT_URLCONF=settings.ROOT_URLCONF)
    try:
        with site, registered(only=True), patch.dict(admin.site._registry):
            yield
    finally:
        for name in [name for name in sys.modules if name.startswith((f"{APP}.", f"{PROJECT}."))]:
            del sys.modules[name]
        for name in {*current_app.tasks} - tasks:
            if name.startswith((f"{APP}.", "docs_")):
                current_app.tasks.pop(name)


def table(path: Path, marker: str) -> list[list[str]]:
    """Return the rows of cells of the ``list-table`` that follows a comment, without its header."""
    text = path.read_text(encoding="utf-8").partition(f".. {marker}\n.. list-table::\n")[2]
    assert text, f"{path.name} has no table after the comment {marker!r}"
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    rows = re.split(r"^ {4}\* - ", "\n".join(lines[:end]), flags=re.MULTILINE)[2:]
    return [[" ".join(cell.split()) for cell in re.split(r"^ {6}- ", row, flags=re.MULTILINE)] for row in rows]


def literals(text: str) -> list[str]:
    """Return the texts in double backticks."""
    return re.findall(r"``(.+?)``", text)


def _examples(path: Path) -> Iterator[Example]:
    lines = path.read_text(encoding="utf-8").splitlines()
    before = ""
    for number, line in enumerate(lines):
        match = re.fullmatch(r"( *)\.\. code-block:: (python|pycon|django)", line)
        if match:
            source = _indented(lines[number + 1 :], len(match[1]))
            place = f"{path.relative_to(ROOT)}:{number + 1}"
            yield Example(place, match[2], source, before.strip() != ".. not run")
        if line.strip():
            before = line


def _indented(lines: list[str], than: int) -> str:
    end = next(
        (number for number, line in enumerate(lines) if line.strip() and len(line) - len(line.lstrip()) <= than),
        len(lines),
    )
    return textwrap.dedent("\n".join(lines[:end])).strip("\n") + "\n"


def _import(example: Example) -> None:
    name = str(example.module)
    module = sys.modules[name] = ModuleType(name)
    package, _, child = name.rpartition(".")
    setattr(sys.modules[package], child, module)
    exec(compile(example.source, example.place, "exec"), module.__dict__)
    if name == f"{PROJECT}.urls":
        settings.ROOT_URLCONF = name
        clear_url_caches()


def _templates() -> dict[str, str]:
    """Return the sources of the templates of the project, by name; they can be changed."""
    engine: dict[str, Any] = settings.TEMPLATES[0]
    templates: dict[str, str] = engine["OPTIONS"]["loaders"][1][1]
    return templates


def _doctest(example: Example, namespace: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(example.source, {}, example.place, example.place, 0)
    test.globs = namespace
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
    runner.run(test, out=output.append, clear_globs=False)
    assert not runner.failures, "".join(output)
