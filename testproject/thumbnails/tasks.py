"""What the nodes do. Files are named by what they hold, so a task that runs twice writes the same file twice."""

import math
from pathlib import Path
from typing import Any

from django.conf import settings
from PIL import Image, ImageOps

from django_tasktree import task_with_callbacks
from testproject.thumbnails import albums
from testproject.thumbnails.samples import draw

#: Pixels of a picture on the contact sheet, and between two of them.
_CELL, _GAP = 160, 12


@task_with_callbacks
def open_picture(album: str, file: str) -> dict[str, Any]:
    """Make sure that a file is a picture.

    Raises:
        PIL.UnidentifiedImageError: it is not.
    """
    with Image.open(albums.directory(album) / file) as picture:
        return {"file": file, "width": picture.width, "height": picture.height}


@task_with_callbacks
def draw_sample(album: str, number: int) -> dict[str, Any]:
    """Draw a picture for those who have none at hand."""
    picture = draw(number)
    file = f"sample-{number + 1}.png"
    _save(picture, albums.directory(album) / file)
    return {"file": file, "width": picture.width, "height": picture.height}


@task_with_callbacks
def thumbnail(album: str, file: str, size: int) -> str:
    """Make a thumbnail.

    Args:
        album: the album.
        file: the picture in it.
        size: pixels of the longer side.

    Returns:
        The thumbnail's path below MEDIA_ROOT.
    """
    target = albums.directory(album) / "thumbnails" / f"{Path(file).stem}-{size}.png"
    with Image.open(albums.directory(album) / file) as picture:
        small = ImageOps.exif_transpose(picture).convert("RGB")
        small.thumbnail((size, size))
        _save(small, target)
    return _below_media(target)


@task_with_callbacks
def pictures(file: str, thumbnails: list[str]) -> dict[str, Any]:
    """Name a picture with its thumbnails."""
    return {"file": file, "thumbnails": thumbnails}


@task_with_callbacks
def contact_sheet(album: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the middle thumbnail of each picture on one sheet.

    Args:
        album: the album.
        found: what ``pictures`` returned for each picture that could be read.
    """
    columns = max(math.ceil(math.sqrt(len(found))), 1)
    rows = max(math.ceil(len(found) / columns), 1)
    step = _CELL + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), "#f4f4f0")
    for index, each in enumerate(found):
        with Image.open(Path(settings.MEDIA_ROOT) / each["thumbnails"][1]) as small:
            left = _GAP + index % columns * step + (_CELL - small.width) // 2
            top = _GAP + index // columns * step + (_CELL - small.height) // 2
            sheet.paste(small, (left, top))
    target = albums.directory(album) / "contact-sheet" / "sheet.png"
    _save(sheet, target)
    return {"sheet": _below_media(target), "pictures": found}


def _save(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: nobody must see half a picture.
    half = target.with_suffix(".part")
    picture.save(half, "PNG")
    half.replace(target)


def _below_media(path: Path) -> str:
    return path.relative_to(settings.MEDIA_ROOT).as_posix()
