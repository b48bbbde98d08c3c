"""Fixtures of the tests of the admin."""

import pytest

from django_tasktree.testing import registered
from tests.integration.admin.definitions import everything, picky


@pytest.fixture
def definitions():
    """Register only the definitions of ``definitions.py``."""
    with registered(everything, picky, only=True):
        yield
