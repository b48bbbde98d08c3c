"""The tasks of the tree. They are idempotent: a task that runs twice writes the same file twice."""

import math
from pathlib import Path
from typing import Any

from django.conf import settings
from PIL import Image, ImageOps

from django_tasktree import task_with_callbacks
from testproject.thumbnails import albums
from testproject.thumbnails.samples import draw

#: The size of a picture on the contact sheet and the gap between two pictures, in pixels.
_CELL, _GAP = 160, 12


@task_with_callbacks
def open_picture(album: str, file: str) -> dict[str, Any]:
    """Return the size of a picture.

    Raises:
        PIL.UnidentifiedImageError: the file is not a picture.
    """
    with Image.open(albums.directory(album) / file) as picture:
        return {"file": file, "width": picture.width, "height": picture.height}


@task_with_callbacks
def draw_sample(album: str, number: int) -> dict[str, Any]:
    """Draw a sample picture, and return its name and size."""
    picture = draw(number)
    file = f"sample-{number + 1}.png"
    _save(picture, albums.directory(album) / file)
    return {"file": file, "width": picture.width, "height": picture.height}


@task_with_callbacks
def thumbnail(album: str, file: str, size: int) -> str:
    """Make a thumbnail, and return its path below MEDIA_ROOT.

    Args:
        album: the name of the album.
        file: the name of the picture in the album.
        size: the longer side of the thumbnail, in pixels.
    """
    target = albums.directory(album) / "thumbnails" / f"{Path(file).stem}-{size}.png"
    with Image.open(albums.directory(album) / file) as picture:
        small = ImageOps.exif_transpose(picture).convert("RGB")
        small.thumbnail((size, size))
        _save(small, target)
    return _below_media(target)


@task_with_callbacks
def pictures(file: str, thumbnails: list[str]) -> dict[str, Any]:
    """Return the name of a picture with the paths of its thumbnails."""
    return {"file": file, "thumbnails": thumbnails}


@task_with_callbacks
def contact_sheet(album: str, thumbnails: list[dict[str, Any]]) -> dict[str, Any]:
    """Make a contact sheet of the middle thumbnail of each picture, and return its path.

    Args:
        album: the name of the album.
        thumbnails: the results of ``pictures`` for the pictures that could be read.
    """
    columns = max(math.ceil(math.sqrt(len(thumbnails))), 1)
    rows = max(math.ceil(len(thumbnails) / columns), 1)
    step = _CELL + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), "#f4f4f0")
    for index, picture in enumerate(thumbnails):
        with Image.open(Path(settings.MEDIA_ROOT) / picture["thumbnails"][1]) as small:
            left = _GAP + index % columns * step + (_CELL - small.width) // 2
            top = _GAP + index // columns * step + (_CELL - small.height) // 2
            sheet.paste(small, (left, top))
    target = albums.directory(album) / "contact-sheet" / "sheet.png"
    _save(sheet, target)
    return {"sheet": _below_media(target), "pictures": thumbnails}


def _save(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written under another name first, so that no incomplete picture is ever visible.
    partial = target.with_suffix(".part")
    picture.save(partial, "PNG")
    partial.replace(target)


def _below_media(path: Path) -> str:
    return path.relative_to(settings.MEDIA_ROOT).as_posix()
