"""Sums over a directory and all below it, which flow upwards from node to node."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

#: What is simply added up.
COUNTED = ("directories", "files", "bytes", "others", "unreadable")


def totals_of(path: str, listing: Mapping[str, Any], below: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Add up a directory and what was added up of its subdirectories.

    Args:
        path: the directory, relative to the top.
        listing: what stands in it, as ``Listing.as_dict`` writes it.
        below: the totals of its subdirectories.

    Returns:
        The counts, the largest file, and a digest of all names and contents, the same wherever the tree stands.
    """
    below = list(below)
    totals: dict[str, Any] = {"path": path, "directories": 1, "files": len(listing["files"])}
    totals |= {"bytes": sum(size for _, size, _ in listing["files"]), "others": listing["others"]}
    totals["unreadable"] = len(listing["unreadable"])
    for count in COUNTED:
        totals[count] += sum(each[count] for each in below)
    totals |= _largest(path, listing, below)
    totals["digest"] = _digest(listing, below)
    return totals


def _largest(path: str, listing: Mapping[str, Any], below: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Name the largest file with its size; of two of a size the first by name."""
    own = [(f"{path}/{name}", size) for name, size, _ in listing["files"]]
    found = [*own, *((each["largest"], each["largest_bytes"]) for each in below if each["largest"] is not None)]
    name, size = min(found, key=lambda file: (-file[1], file[0]), default=(None, 0))
    return {"largest": name, "largest_bytes": size}


def _digest(listing: Mapping[str, Any], below: list[Mapping[str, Any]]) -> str:
    """Hash a line for each file and subdirectory, as ``sha256sum`` would write it."""
    lines = [f"{digest}  {name}\n" for name, _, digest in listing["files"]]
    lines += [f"{each['digest']}  {each['path'].rpartition('/')[2]}/\n" for each in below]
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
