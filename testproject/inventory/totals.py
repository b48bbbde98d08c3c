"""Compute the totals of a directory and its subdirectories; gather nodes pass them upwards."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

#: The totals that are sums.
COUNTED = ("directories", "files", "bytes", "others", "unreadable")


def totals_of(path: str, listing: Mapping[str, Any], below: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the totals of a directory, its subdirectories included.

    Args:
        path: the directory, relative to the top.
        listing: the listing of the directory, as ``Listing.as_dict`` returns it.
        below: the totals of its subdirectories.

    Returns:
        The counts, the largest file, and a digest of all names and contents that does not depend on the location of the
        directory.
    """
    below = list(below)
    totals: dict[str, Any] = {"path": path, "directories": 1, "files": len(listing["files"])}
    totals |= {"bytes": sum(size for _, size, _ in listing["files"]), "others": listing["others"]}
    totals["unreadable"] = len(listing["unreadable"])
    for count in COUNTED:
        totals[count] += sum(totals_below[count] for totals_below in below)
    totals |= _largest(path, listing, below)
    totals["digest"] = _digest(listing, below)
    return totals


def _largest(path: str, listing: Mapping[str, Any], below: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the largest file with its size; of several of this size, the first by name."""
    own = [(f"{path}/{name}", size) for name, size, _ in listing["files"]]
    files = [*own, *((child["largest"], child["largest_bytes"]) for child in below if child["largest"] is not None)]
    name, size = min(files, key=lambda file: (-file[1], file[0]), default=(None, 0))
    return {"largest": name, "largest_bytes": size}


def _digest(listing: Mapping[str, Any], below: list[Mapping[str, Any]]) -> str:
    """Return the hash of lines such as ``sha256sum`` writes, one for each file and subdirectory."""
    lines = [f"{digest}  {name}\n" for name, _, digest in listing["files"]]
    lines += [f"{child['digest']}  {child['path'].rpartition('/')[2]}/\n" for child in below]
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
