"""``chunks``: a group of starmaps."""

from itertools import islice
from typing import Any

from django_tasktree.canvas.signatures import STARMAP


def chunked(signature: Any) -> list[Any]:
    """The members of the group that a ``chunks`` signature stands for."""
    kwargs = signature["kwargs"]
    items = iter(kwargs["it"])
    found = []
    while part := list(islice(items, kwargs["n"])):
        starmap = {"task": kwargs["task"], "it": part}
        found.append({"task": STARMAP, "kwargs": starmap, "options": {}, "immutable": True})
    return found
