"""Paths as keys of handles."""

from typing import Any

from django_tasktree.encoding.labels import SEPARATOR
from django_tasktree.exceptions import NodeNotFound


def checked_path(handle: Any, path: str) -> str:
    """Return the path of a node, unless it is the name of an attribute of the handle.

    Django's templates look up ``{{ run.state }}`` as ``run["state"]`` first: a label must not hide the attribute, and
    the lookup must not cost a query.

    Args:
        handle: the handle whose key the path is.
        path: the path.

    Raises:
        NodeNotFound: it is the name of an attribute.
    """
    if hasattr(type(handle), path) or path in vars(handle):
        raise NodeNotFound(
            f"{path!r} is an attribute of {type(handle).__name__}, and templates look up attributes like keys: for a "
            f"node with this label write {SEPARATOR + path!r}"
        )
    return path
