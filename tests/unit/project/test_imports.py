"""Each module can be imported first, after ``django.setup()``, in any order of the installed apps."""

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

import django_tasktree
from django_tasktree.apps import TaskTreeConfig

PACKAGE = Path(django_tasktree.__file__).parent
#: Configures Django with the settings of the tests, but with these apps first.
CONFIGURE = """
import os, sys, traceback
from importlib import import_module
import django
from django.conf import settings
import tests.settings as project

def set_up(first, without=()):
    values = {name: getattr(project, name) for name in dir(project) if name.isupper()}
    rest = [app for app in project.INSTALLED_APPS if app not in (*first, *without)]
    settings.configure(**{**values, "INSTALLED_APPS": [*first, *rest]})
    django.setup()
"""
#: Imports each module that is not loaded yet in a process of its own. The admin does not import all modules before.
EACH_ALONE = """
set_up(["django.contrib.admin.apps.SimpleAdminConfig"], without=["django.contrib.admin"])
failed = []
for name in sys.argv[1:]:
    if name in sys.modules:
        continue
    child = os.fork()
    if child == 0:
        try:
            import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
sys.exit(", ".join(failed) or 0)
"""
APPS = ["django_tasktree", "django_celery_results", "django.contrib.admin"]
WITH_APPS = """
set_up(sys.argv[1:])
from django.contrib import admin
from django.core.management import call_command
call_command("check", fail_level="WARNING")
from django_tasktree.models import NodeRun, TreeRun
assert admin.site.is_registered(TreeRun) and admin.site.is_registered(NodeRun)
"""


def python(script, *args):
    """Run a script in a new process, and return the process that has ended."""
    root = PACKAGE.parent
    env = {**os.environ, "PYTHONPATH": str(root)}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-c", CONFIGURE + script, *args],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def modules():
    """Return the names of all modules of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if "migrations" not in parts:
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_each_module_can_be_imported_first():
    names = list(modules())
    assert len(names) > 200
    done = python(EACH_ALONE, *names)
    assert done.returncode == 0, done.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("order", list(permutations(APPS)), ids=lambda order: " ".join(order))
def test_the_apps_may_be_installed_in_any_order(order):
    done = python(WITH_APPS, *order)
    assert done.returncode == 0, done.stderr


def test_the_label_of_the_app_can_not_be_changed():
    renamed = type("Renamed", (TaskTreeConfig,), {"label": "trees"})
    with pytest.raises(ImproperlyConfigured, match=r"Renamed\.label is 'trees': the label of django_tasktree can't"):
        renamed("django_tasktree", django_tasktree).ready()
