"""Labels of nodes, and paths of labels, which name a node in its run."""

import reprlib

from django_tasktree.encoding.text import check_storable
from django_tasktree.exceptions import InvalidOption

#: The length of the column.
LABEL_LENGTH = 255
#: Separates the labels of a path.
SEPARATOR = "/"


def check_label(label: str, name: str = "label") -> str:
    """Return a label as plain text.

    A member of an enumeration of texts becomes its value.

    Args:
        label: the label, or another text for which the same rules apply.
        name: the argument, for errors.

    Raises:
        InvalidOption: it is not a text, is empty, or contains a slash.
        InvalidText: it is too long, or contains a character that a supported database refuses.
    """
    none = ", or None for no label" if name == "label" else ""
    if not isinstance(label, str):
        raise InvalidOption(f"{name}={reprlib.repr(label)} is not a text: use str(…) of it{none}")
    label = str.__str__(label)
    if not label:
        raise InvalidOption(f"{name}='' is empty: give a text{none}")
    shown = reprlib.repr(label)
    if SEPARATOR in label:
        raise InvalidOption(f"{name}={shown} contains {SEPARATOR!r}, which separates the labels of a path")
    return check_storable(f"{name}={shown}", label, LABEL_LENGTH)


def steps_of(path: str) -> list[str]:
    """Return the steps of a path, from the top down.

    Args:
        path: labels of nodes, or positions of nodes without a label, such as ``"load/3"``; it may begin with a slash.

    Raises:
        ValueError: a step is empty.
    """
    steps = path.removeprefix(SEPARATOR).split(SEPARATOR)
    if not all(steps):
        raise ValueError(f"{path!r} is not a path: write labels or positions with {SEPARATOR!r} between them")
    return steps


def position_of(step: str) -> int | None:
    """Return the position that a step of a path may mean; None if it can only be a label."""
    return int(step) if step.isascii() and step.isdigit() and len(step) <= _MAX_DIGITS else None


#: Longer numbers are not positions.
_MAX_DIGITS = 9
