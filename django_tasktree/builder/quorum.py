"""When a gather node starts: ``when="all"``, ``"any"``, a number of siblings, or a share such as ``"80%"``."""

from typing import Any

from django_tasktree.builder.calls import MAX_STORABLE
from django_tasktree.encoding.shares import read_share
from django_tasktree.exceptions import InvalidOption

#: The stored form of a gather node that waits for all of its siblings.
ALL = ""


def quorum_of(when: Any) -> str:
    """Return the option ``when`` of a gather node in its stored form: a number or share as text, or :data:`ALL`.

    Raises:
        InvalidOption: it is not valid.
    """
    if when == "all":
        return ALL
    if when == "any":
        return "1"
    if isinstance(when, str):
        share = read_share(when)
        if share:
            # The column is short.
            return "".join(when.split())
    elif isinstance(when, int) and not isinstance(when, bool) and 1 <= when <= MAX_STORABLE:
        return str(when)
    raise InvalidOption(
        f"when={when!r} is not valid: give 'all', 'any', the number of nodes that must succeed, or a share such as "
        "'80%'"
    )
