"""The public names of the package."""

import subprocess
import sys

import django_tasktree


def test_every_public_name_can_be_imported():
    for name in django_tasktree.__all__:
        value = getattr(django_tasktree, name)
        # ITEM is no class or function.
        assert getattr(value, "__name__", repr(value)) == name


def test_an_unknown_name_raises_attribute_error():
    assert not hasattr(django_tasktree, "nothing")
    assert "TaskTree" in dir(django_tasktree)


def test_importing_needs_no_settings():
    code = (
        "import django_tasktree\n"
        "from django_tasktree.builder.nodes import TaskTreeNode\n"
        "from django_tasktree import register_tree\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr
