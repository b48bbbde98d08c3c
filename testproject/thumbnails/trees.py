"""The tree: a thumbnail of each file, however many there are, then a contact sheet of all thumbnails."""

from django_tasktree import ITEM, TaskTree, register_tree
from django_tasktree.exceptions import InvalidParameter
from testproject.thumbnails import albums
from testproject.thumbnails.tasks import contact_sheet, find_files, thumbnail


@register_tree
def thumbnails(album: str = "", samples: int = 6) -> TaskTree:
    """Make a thumbnail of each picture of an album, and a contact sheet.

    An album is a directory below MEDIA_ROOT/albums. Without one, a few samples are drawn. Up to half of the files may
    be no pictures.
    """
    if album:
        _check_album(album)
        samples = 0
    elif not 1 <= samples <= 100:
        raise _invalid("samples", "give a number from 1 to 100")
    album = album or albums.new_name()
    tree = TaskTree("thumbnails")
    files = tree.add_task(find_files, [album, samples], label="files")
    pictures = files.map(thumbnail, over=files.output, args=[album, ITEM], tolerate="50%", label="pictures")
    sheet = pictures.gather(contact_sheet, [album, pictures.outputs], label="sheet")
    tree.returns(sheet.output)
    return tree


def _check_album(album: str) -> None:
    if not albums.files_of(album):
        raise _invalid("album", f"there is no album {album!r}, or it is empty")


def _invalid(name: str, reason: str) -> InvalidParameter:
    return InvalidParameter(f"parameter {name!r} of definition 'thumbnails': {reason}", {name: reason})
