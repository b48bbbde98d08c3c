"""What the pictures of the documentation show can be made: it follows the models."""

from tests.browser import themed_site


def test_the_scenes_can_be_made(tmp_path):
    assert "album" in themed_site.make_scenes(tmp_path)["pages"]
