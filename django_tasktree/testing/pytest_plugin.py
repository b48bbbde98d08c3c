"""The fixture ``run_tree``, for tests that may use the database.

It is there once ``conftest.py`` at the top of your tests names this module in ``pytest_plugins``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from django_tasktree import testing

if TYPE_CHECKING:
    from django_tasktree.result import TreeResult


@pytest.fixture
def run_tree() -> "Callable[..., TreeResult]":
    """Run trees in this process: :func:`django_tasktree.testing.run_tree`."""
    return testing.run_tree
