"""The tasks of an inventory. The node of a directory adds nodes for its subdirectories while it runs."""

from pathlib import Path
from typing import Any

from django.conf import settings

from django_tasktree import current_node, task_with_callbacks
from testproject.inventory.digest import read_directory
from testproject.inventory.manifest import write
from testproject.inventory.totals import totals_of


def label_of(name: str) -> str | None:
    """Return the label of the node of a directory; names that can't be shown are not labels."""
    return name if name and name.isprintable() else None


@task_with_callbacks
def scan(path: str, top: str, hidden: bool = False) -> dict[str, Any]:
    """Hash the files of one directory, and add a node for each of its subdirectories.

    Args:
        path: the directory, relative to the top; "." is the top itself.
        top: the topmost directory of the inventory.
        hidden: whether to include entries whose names begin with a dot.

    Returns:
        The totals of this directory alone, and its ``listing``.
    """
    listing = read_directory(Path(top) / path, hidden=hidden)
    node = current_node()
    for name in listing.directories:
        node.add_task(scan, [f"{path}/{name}", top, hidden], label=label_of(name))
    if listing.directories and path != ".":
        node.gather(add_up, [path, node.output["listing"], node.subtree_outputs])
    contents = listing.as_dict()
    return {**totals_of(path, contents), "listing": contents}


@task_with_callbacks
def add_up(path: str, listing: dict[str, Any], below: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the totals of a directory and its subdirectories, when all of them are known.

    Args:
        path: the directory, relative to the top.
        listing: the listing of the directory itself.
        below: the totals of each subdirectory.
    """
    return totals_of(path, listing, below)


@task_with_callbacks
def write_manifest(
    top: str, manifest: str | None, listing: dict[str, Any], below: list[dict[str, Any]]
) -> dict[str, Any]:
    """Add up the totals, and write the manifest with them and the hash of every file.

    Args:
        top: the topmost directory of the inventory.
        manifest: the path of the manifest; by default ``manifests/<run>.json`` in the project's ``var`` directory.
        listing: the listing of the top directory itself.
        below: the totals of each subdirectory.

    Returns:
        The totals, and the path of the manifest.
    """
    node = current_node()
    target = Path(manifest) if manifest else settings.VAR_DIR / "manifests" / f"{node.run_id}.json"
    totals = {**totals_of(".", listing, below), "path": top}
    write(target, node.run_id, scan.name, totals)
    return {**totals, "manifest": str(target)}
