"""The thumbnails demo: it turns pictures into thumbnails and a contact sheet."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from django_tasktree.definitions.launch import launch_definition
from django_tasktree.models import TreeRun
from testproject.thumbnails.samples import draw
from testproject.thumbnails.tasks import SIZE

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
    files = [upload("a.jpg"), upload("a.png", 1), SimpleUploadedFile("b.jpg", b"no picture", "image/jpeg")]
    page = client.post("/", {"pictures": files, "samples": 6}, follow=True)
    run = TreeRun.objects.get()
    assert (run.state, run.name) == ("SUCCESS", "thumbnails")
    assert page.redirect_chain == [(reverse("thumbnails:album", args=[run.id]), 302)]
    pictures = page.context["pictures"]
    assert [picture["name"] for picture in pictures] == ["a.jpg", "a.png"]
    assert [max(size_of(media / picture["thumbnail"])) for picture in pictures] == [SIZE, SIZE]
    assert [file["name"] for file in page.context["broken"]] == ["b.jpg"]
    assert size_of(media / page.context["sheet"])[0] == 2 * 160 + 3 * 12
    part = client.get(reverse("thumbnails:pictures", args=[run.id])).content.decode()
    assert part.count("<img") == 3
    assert part in page.content.decode()


def test_without_uploads_samples_are_drawn_and_one_in_six_is_broken(media, client):
    page = client.post("/", {"samples": 6}, follow=True)
    assert len(page.context["pictures"]) == 5
    assert [file["name"] for file in page.context["broken"]] == ["sample-006.png"]


def test_a_file_without_the_name_of_a_picture_is_refused_by_the_form(media, client):
    page = client.post("/", {"pictures": [SimpleUploadedFile("a.html", b"no picture")], "samples": 6})
    assert "pictures" in page.context["form"].errors
    assert not TreeRun.objects.exists()


def test_without_any_picture_there_is_no_contact_sheet(media, client):
    page = client.post("/", {"pictures": [SimpleUploadedFile("a.jpg", b"no picture")], "samples": 6}, follow=True)
    assert TreeRun.objects.get().state == "FAILURE"
    assert page.context["sheet"] is None
    assert "There is no contact sheet" in page.content.decode()


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"album": "../secrets"}, "there is no album"), ({"album": "none"}, "it is empty"), ({"samples": 0}, "from 1 to")],
)
def test_invalid_parameters_are_refused(media, params, reason):
    with pytest.raises(ValueError, match=reason):
        launch_definition("thumbnails", params)
