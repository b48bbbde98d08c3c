"""The thumbnails demo: it turns pictures into thumbnails and a contact sheet."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from django_tasktree import TreeResult
from django_tasktree.definitions.launch import launch_definition
from django_tasktree.models import NodeRun, TreeRun
from testproject.thumbnails.samples import draw
from testproject.thumbnails.trees import SIZES

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def media(settings, tmp_path, eager):
    """Return the folder of uploaded and generated files."""
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def size_of(file):
    """Return width and height of a picture."""
    with Image.open(file) as picture:
        return picture.size


def upload(name, number=0):
    """Return a picture as an uploaded file."""
    file = BytesIO()
    draw(number).save(file, "JPEG")
    return SimpleUploadedFile(name, file.getvalue(), "image/jpeg")


def test_uploaded_pictures_get_thumbnails_and_a_contact_sheet(media, client):
    files = [upload("a.jpg"), upload("b.jpg", 1)]
    page = client.post("/", {"pictures": files, "samples": 6}, follow=True)
    run = TreeRun.objects.get()
    assert (run.state, run.name) == ("SUCCESS", "thumbnails of 2 pictures")
    assert page.redirect_chain == [(reverse("thumbnails:album", args=[run.id]), 302)]
    album = page.context["album"]
    assert [picture["file"] for picture in album["pictures"]] == ["a.jpg", "b.jpg"]
    for picture in album["pictures"]:
        assert [max(size_of(media / file)) for file in picture["thumbnails"]] == [*SIZES]
    assert size_of(media / album["sheet"])[0] == 2 * 160 + 3 * 12
    assert f'src="/media/{album["sheet"]}"' in page.content.decode()


def test_without_uploads_samples_are_drawn(media, client):
    page = client.post("/", {"samples": 3}, follow=True)
    assert len(page.context["album"]["pictures"]) == 3


def test_a_file_that_is_not_a_picture_is_refused_by_the_form(media, client):
    page = client.post("/", {"pictures": [SimpleUploadedFile("a.jpg", b"no picture")], "samples": 6})
    assert "pictures" in page.context["form"].errors
    assert not TreeRun.objects.exists()


def test_a_broken_picture_is_left_out_of_the_contact_sheet(media):
    album = media / "albums" / "holidays"
    album.mkdir(parents=True)
    (album / "broken.jpg").write_bytes(b"no picture")
    draw(0).save(album / "good.png")
    result = launch_definition("thumbnails", {"album": "holidays"})
    assert result.state == "FAILURE"
    sheet = NodeRun.objects.get(run_id=result.id, is_gather=True, parent=None)
    (found,) = [node.get() for node in TreeResult(result.id).children if node.id == sheet.id]
    assert [picture["file"] for picture in found["pictures"]] == ["good.png"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"album": "../secrets"}, "there is no album"), ({"album": "none"}, "it is empty"), ({"samples": 0}, "from 1 to")],
)
def test_invalid_parameters_are_refused(media, params, reason):
    with pytest.raises(ValueError, match=reason):
        launch_definition("thumbnails", params)
