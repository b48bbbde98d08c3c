"""Fixtures of the tests of actions."""

import pytest


@pytest.fixture
def small_batches(settings):
    """Set a batch size of two, so that most actions take several batches."""
    settings.TASKTREE = {"BATCH_SIZE": 2}
