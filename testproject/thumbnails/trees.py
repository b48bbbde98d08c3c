"""The tree: three thumbnails of each picture, then a contact sheet of all pictures."""

from pathlib import Path

from django_tasktree import TaskTree, TaskTreeNode, register_tree
from django_tasktree.exceptions import InvalidParameter
from testproject.thumbnails import albums
from testproject.thumbnails.tasks import contact_sheet, draw_sample, open_picture, pictures, thumbnail

#: The longest side of each size, in pixels.
SIZES = (64, 160, 480)


@register_tree
def thumbnails(album: str = "", samples: int = 6) -> TaskTree:
    """Make thumbnails in three sizes of each picture of an album, and a contact sheet.

    An album is a directory below MEDIA_ROOT/albums. Without one, a few sample pictures are drawn.
    """
    if not album and not 1 <= samples <= 100:
        raise InvalidParameter(
            "parameter 'samples' of definition 'thumbnails': give a number from 1 to 100",
            {"samples": "give a number from 1 to 100"},
        )
    name, uploaded = (album, _uploaded(album)) if album else (albums.new_name(), [])
    tree = TaskTree(f"thumbnails of {len(uploaded) or samples} pictures")
    for file in uploaded:
        _add_picture(tree.add_task(open_picture, [name, file.name], label=file.name), name)
    for number in range(0 if uploaded else samples):
        _add_picture(tree.add_task(draw_sample, [name, number], label=f"sample {number + 1}"), name)
    tree.gather(contact_sheet, [name, tree.subtree_outputs], run_when="always")
    return tree


def _add_picture(node: TaskTreeNode, name: str) -> None:
    for size in SIZES:
        node.add_task(thumbnail, [name, node.output["file"], size], label=f"{size} pixels")
    node.gather(pictures, [node.output["file"], node.outputs])


def _uploaded(album: str) -> list[Path]:
    files = albums.files_of(album)
    if not files:
        reason = f"there is no album {album!r}, or it is empty"
        raise InvalidParameter(f"parameter 'album' of definition 'thumbnails': {reason}", {"album": reason})
    return files
