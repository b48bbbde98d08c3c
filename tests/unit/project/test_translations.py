"""The message catalogues are complete, match the source and are compiled."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest

import django_tasktree
from tests import services

PACKAGE = Path(django_tasktree.__file__).parent
LANGUAGES = ["de", "es", "fr", "zh_Hans"]
#: What a translation must keep: placeholders and HTML tags.
KEPT = re.compile(r"%%|%\(\w+\)0?\d?[sd]|</?\w+>|<code>[^<]*</code>")


def catalogue(language, root=PACKAGE):
    return polib.pofile(str(root / "locale" / language / "LC_MESSAGES" / "django.po"))


def key(entry):
    return (entry.msgctxt, entry.msgid, entry.msgid_plural)


def texts(entry):
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def test_every_catalogue_is_listed():
    assert sorted(path.name for path in (PACKAGE / "locale").iterdir()) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
    entries = catalogue(language)
    assert [entry.msgid for entry in entries if not all(texts(entry)) or entry.fuzzy or entry.obsolete] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_kept(language):
    for entry in catalogue(language):
        wanted = sorted(KEPT.findall(entry.msgid_plural or entry.msgid))
        for text in texts(entry):
            assert sorted(KEPT.findall(text)) == wanted, entry.msgid


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_is_compiled(language):
    compiled = polib.mofile(str(PACKAGE / "locale" / language / "LC_MESSAGES" / "django.mo"))
    assert {key(entry): texts(entry) for entry in compiled} == {
        key(entry): texts(entry) for entry in catalogue(language)
    }


def test_the_catalogues_match_the_texts_of_the_source(tmp_path):
    if shutil.which("xgettext") is None:
        message = "xgettext is not installed (package gettext)"
        pytest.fail(message) if services.REQUIRED else pytest.skip(message)
    copied = tmp_path / "django_tasktree"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__", "static"))
    command = [sys.executable, "-m", "django", "makemessages", "-l", "de", "--no-obsolete", "--no-location", "-v", "0"]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    made = subprocess.run(command, cwd=copied, env=env, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    now = {key(entry) for entry in catalogue("de", copied)}
    for language in LANGUAGES:
        assert {key(entry) for entry in catalogue(language)} == now
