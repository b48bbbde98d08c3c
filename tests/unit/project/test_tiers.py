"""The paths of the quick tests exist, and the layout of the tests mirrors the package."""

import pytest

from tests import tiers, workers


@pytest.mark.parametrize("path", tiers.QUICK)
def test_each_path_of_the_quick_tests_exists(path):
    assert (workers.ROOT / path).exists(), f"tests/tiers.py names {path}, which is not there: it was moved, or removed"


@pytest.mark.parametrize("tier", ["unit", "integration"])
def test_the_layout_mirrors_the_package(tier):
    """Tests of no package are in ``project``; no test file is outside of these directories."""
    root = workers.ROOT / "tests" / tier
    packages = {path.parent.name for path in workers.ROOT.glob("django_tasktree/*/__init__.py")}
    assert {path.parent.name for path in root.glob("*/test_*.py")} <= packages | {"project"}
    assert not list(root.glob("test_*.py"))
