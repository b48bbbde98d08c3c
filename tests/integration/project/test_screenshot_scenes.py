"""The scenes for the screenshots of the documentation can be created with the current models."""

from tests.browser import themed_site


def test_the_scenes_can_be_created(tmp_path):
    assert "album" in themed_site.make_scenes(tmp_path)["pages"]
