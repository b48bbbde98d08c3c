"""Read one directory: what is in it, and what its files hash to."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
#: A file that was swapped for a symbolic link since it was listed is not followed either.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)


@dataclass
class Listing:
    """What stands in one directory.

    Attributes:
        files: name, size and SHA-256 of each regular file, by name.
        directories: the names of the subdirectories, in order.
        unreadable: name and reason of what could not be read; the name "." is the directory itself.
        others: how many entries are neither: symbolic links, sockets, pipes, devices.
    """

    files: list[tuple[str, int, str]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    others: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give what a node may return."""
        return asdict(self)


def read_directory(path: Path, *, hidden: bool) -> Listing:
    """List a directory and hash its files; nothing that can't be read is fatal.

    Args:
        path: the directory.
        hidden: whether entries count whose name begins with a dot.
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
    """Hash a file piece by piece, so that its size does not matter.

    Returns:
        How many bytes were read, and their SHA-256.
    """
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, _READ), "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
