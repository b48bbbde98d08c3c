"""The tasks of the tree. They are idempotent: a task that runs twice writes the same file twice."""

import math
from pathlib import Path

from django.conf import settings
from PIL import Image, ImageOps

from django_tasktree import task_with_callbacks
from testproject.thumbnails import albums
from testproject.thumbnails.samples import draw_samples

#: The longer side of a thumbnail, and the gap between two on the contact sheet, in pixels.
SIZE, _GAP = 160, 12


@task_with_callbacks
def find_files(album: str, samples: int) -> list[str]:
    """Draw some samples, and return the names of all files of the album."""
    draw_samples(albums.directory(album), samples)
    return albums.files_of(album)


@task_with_callbacks
def thumbnail(album: str, file: str) -> str:
    """Make the thumbnail of a picture, and return its path below MEDIA_ROOT.

    Raises:
        PIL.UnidentifiedImageError: the file is not a picture.
    """
    with Image.open(albums.directory(album) / file) as picture:
        small = ImageOps.exif_transpose(picture).convert("RGB")
    small.thumbnail((SIZE, SIZE))
    return _save(small, albums.directory(album) / "thumbnails" / f"{file}.png")


@task_with_callbacks
def contact_sheet(album: str, thumbnails: list[str]) -> str:
    """Put thumbnails on one sheet, and return its path below MEDIA_ROOT."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    rows = math.ceil(len(thumbnails) / columns)
    step = SIZE + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), "#f4f4f0")
    for index, file in enumerate(thumbnails):
        with Image.open(Path(settings.MEDIA_ROOT) / file) as small:
            left = _GAP + index % columns * step + (SIZE - small.width) // 2
            top = _GAP + index // columns * step + (SIZE - small.height) // 2
            sheet.paste(small, (left, top))
    return _save(sheet, albums.directory(album) / "contact-sheet" / "sheet.png")


def _save(picture: Image.Image, target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written under another name first, so that no incomplete picture is ever visible.
    partial = target.with_suffix(".part")
    picture.save(partial, "PNG")
    partial.replace(target)
    return target.relative_to(settings.MEDIA_ROOT).as_posix()
