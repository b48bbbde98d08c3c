"""The fixture ``run_tree``, for tests that may use the database.

To use it, add this module to ``pytest_plugins`` in the ``conftest.py`` of your tests' top directory.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from django_tasktree import testing

if TYPE_CHECKING:
    from django_tasktree.client.tree_result import TreeResult


@pytest.fixture
def run_tree() -> "Callable[..., TreeResult]":
    """Return :func:`django_tasktree.testing.run_tree`, which runs a tree in this process."""
    return testing.run_tree
