"""Directories of pictures below MEDIA_ROOT."""

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage


def new_name() -> str:
    """Return a name that no album has."""
    return uuid.uuid4().hex


def directory(album: str) -> Path:
    """Return the directory of an album.

    Raises:
        ValueError: the name is not valid for an album.
    """
    if not album.isalnum():
        raise ValueError(f"{album!r} is not a valid name of an album: use only letters and digits")
    return Path(settings.MEDIA_ROOT) / "albums" / album


def files_of(album: str) -> list[str]:
    """Return the names of the files of an album, sorted."""
    return sorted(path.name for path in directory(album).glob("*") if path.is_file()) if album.isalnum() else []


def save(files: list[Any]) -> str:
    """Store uploaded files as a new album, and return its name."""
    album = new_name()
    storage = FileSystemStorage(directory(album))
    for file in files:
        storage.save(file.name, file)
    return album
