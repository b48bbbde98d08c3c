"""Directories of pictures below MEDIA_ROOT."""

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage


def new_name() -> str:
    """Make a name that no album has."""
    return uuid.uuid4().hex


def directory(album: str) -> Path:
    """Give the directory of an album.

    Raises:
        ValueError: that is no name of an album.
    """
    if not album.isalnum():
        raise ValueError(f"{album!r} is no name of an album: those have letters and digits only")
    return Path(settings.MEDIA_ROOT) / "albums" / album


def files_of(album: str) -> list[Path]:
    """List the pictures that were uploaded."""
    return sorted(path for path in directory(album).glob("*") if path.is_file()) if album.isalnum() else []


def save(files: list[Any]) -> str:
    """Store uploaded pictures as a new album.

    Returns:
        Its name.
    """
    album = new_name()
    storage = FileSystemStorage(directory(album))
    for file in files:
        storage.save(file.name, file)
    return album


def url(path: Path) -> str:
    """Give the address of a file below MEDIA_ROOT."""
    return f"{settings.MEDIA_URL}{path.relative_to(settings.MEDIA_ROOT).as_posix()}"
