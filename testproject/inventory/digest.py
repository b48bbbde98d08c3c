"""List one directory and hash its files."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
#: O_NOFOLLOW: a file that was replaced by a symbolic link since it was listed is not followed.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)


@dataclass
class Listing:
    """The contents of one directory.

    Attributes:
        files: name, size and SHA-256 of each regular file, by name.
        directories: the names of the subdirectories, in order.
        unreadable: name and reason for each entry that could not be read; "." is the directory itself.
        others: the number of other entries: symbolic links, sockets, pipes, devices.
    """

    files: list[tuple[str, int, str]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    others: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the listing as a dict, which a node can return."""
        return asdict(self)


def read_directory(path: Path, *, hidden: bool) -> Listing:
    """Return the listing of a directory, with the hashes of its files; unreadable entries are recorded in it.

    Args:
        path: the directory.
        hidden: whether to include entries whose names begin with a dot.
    """
    listing = Listing()
    for entry in _entries(path, listing):
        if entry.name.startswith(".") and not hidden:
            continue
        try:
            _note(entry, listing)
        except OSError as exc:
            listing.unreadable.append((entry.name, exc.strerror or str(exc)))
    return listing


def _entries(path: Path, listing: Listing) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as exc:
        listing.unreadable.append((".", exc.strerror or str(exc)))


def _note(entry: os.DirEntry[str], listing: Listing) -> None:
    if entry.is_dir(follow_symlinks=False):
        listing.directories.append(entry.name)
    elif entry.is_file(follow_symlinks=False):
        listing.files.append((entry.name, *hash_file(entry.path)))
    else:
        listing.others += 1


def hash_file(path: str) -> tuple[int, str]:
    """Return the size of a file in bytes and its SHA-256; the file is read in chunks.

    Raises:
        OSError: the file can't be read, or is a symbolic link.
    """
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, _READ), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
