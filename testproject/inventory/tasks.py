"""The nodes of an inventory: one for each directory, which finds its subdirectories as it runs."""

from pathlib import Path
from typing import Any

from django.conf import settings

from django_tasktree import current_node, task_with_callbacks
from testproject.inventory.digest import read_directory
from testproject.inventory.manifest import write
from testproject.inventory.totals import totals_of


@task_with_callbacks
def scan(path: str, top: str, hidden: bool = False) -> dict[str, Any]:
    """Hash the files of one directory, and add a node for each of its subdirectories.

    Args:
        path: the directory, relative to the top, with "." for the top itself.
        top: the directory that the inventory is about.
        hidden: whether entries count whose name begins with a dot.

    Returns:
        The totals of this directory alone, and its ``listing``.
    """
    listing = read_directory(Path(top) / path, hidden=hidden)
    node = current_node()
    for name in listing.directories:
        node.add_task(scan, [f"{path}/{name}", top, hidden])
    if listing.directories and path != ".":
        node.gather(add_up, [path, node.output["listing"], node.subtree_outputs])
    found = listing.as_dict()
    return {**totals_of(path, found), "listing": found}


@task_with_callbacks
def add_up(path: str, listing: dict[str, Any], below: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up a directory and its subdirectories, once all of them are known.

    Args:
        path: the directory, relative to the top.
        listing: what stands in the directory itself.
        below: the totals of each subdirectory.
    """
    return totals_of(path, listing, below)


@task_with_callbacks
def write_manifest(
    top: str, manifest: str | None, listing: dict[str, Any], below: list[dict[str, Any]]
) -> dict[str, Any]:
    """Add everything up, and write the manifest: the totals, and the hash of every file.

    Args:
        top: the directory that the inventory is about.
        manifest: where to write; by default ``manifests/<run>.json`` in the project's ``var`` directory.
        listing: what stands in the top directory itself.
        below: the totals of each subdirectory.

    Returns:
        The totals, and where the manifest is.
    """
    node = current_node()
    target = Path(manifest) if manifest else settings.VAR_DIR / "manifests" / f"{node.run_id}.json"
    totals = {**totals_of(".", listing, below), "path": top}
    write(target, node.run_id, scan.name, totals)
    return {**totals, "manifest": str(target)}
