"""The tree of the demo: it starts with two nodes and grows while directories are found."""

from pathlib import Path

from django_tasktree import TaskTree, register_tree
from django_tasktree.exceptions import InvalidParameter
from testproject.inventory.tasks import label_of, scan, write_manifest


@register_tree
def inventory(path: Path, manifest: Path | None = None, hidden: bool = False) -> TaskTree:
    """Hash every file below a directory, and write a manifest.

    Each directory is a node, which adds a node for each subdirectory that it finds. The totals flow back upwards
    through gather nodes; the last of them writes the manifest, a JSON file.
    """
    top = _existing_directory(path)
    tree = TaskTree()
    first = tree.add_task(scan, [".", str(top), hidden], label=label_of(top.name))
    target = None if manifest is None else str(manifest.absolute())
    totals = first.gather(write_manifest, [str(top), target, first.output["listing"], first.subtree_outputs])
    tree.returns(totals.output)
    return tree


def _existing_directory(path: Path) -> Path:
    top = path.expanduser().resolve()
    try:
        is_directory, exists = top.is_dir(), top.exists()
    except OSError as exc:
        # The name is too long, or a directory on the path is not readable.
        is_directory = False
        reason = f"{str(path)!r} can't be opened: {exc.strerror}"
    else:
        reason = f"{str(path)!r} is not a directory" if exists else f"there is no directory {str(path)!r}"
    if not is_directory:
        raise InvalidParameter(f"parameter 'path' of definition 'inventory': {reason}", {"path": reason})
    return top
