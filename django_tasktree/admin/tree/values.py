"""Make stored arguments and results readable, without ever unpickling any."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django_tasktree.encoding.ids import as_uuid
from django_tasktree.encoding.stand_ins import stand_in_text
from django_tasktree.encoding.text import readable_json
from django_tasktree.reporting.call_texts import is_reference, typed_text

#: Longer texts are shortened, because results may be very large.
MAX_LENGTH = 50_000
#: Texts with more lines or more characters are folded when the page is loaded.
_OPEN_LINES, _OPEN_CHARACTERS = 24, 2_000
#: The maximum number of characters of a value that is shown on one line.
_LINE = 80


@dataclass(frozen=True)
class StoredValue:
    """A stored value as a page shows it.

    Attributes:
        text: readable JSON; empty if the value is pickled.
        size: the number of characters in the database.
        pickled: whether the value is pickled, that is, not JSON.
    """

    text: str
    size: int
    pickled: bool = False

    @property
    def shown(self) -> str:
        """The part of the text that a page shows."""
        return self.text[:MAX_LENGTH]

    @property
    def cut(self) -> bool:
        """Whether ``shown`` lacks the end of the text."""
        return len(self.text) > MAX_LENGTH

    @property
    def is_short(self) -> bool:
        """Whether the text is short enough to be unfolded when the page is loaded."""
        return len(self.text) <= _OPEN_CHARACTERS and self.text.count("\n") < _OPEN_LINES

    @classmethod
    def of(cls, stored: str, names: Mapping[UUID, str] | None = None) -> "StoredValue":
        """Return the value of a text that ``encoding.serialization`` wrote, without creating the objects it describes.

        Args:
            stored: the text.
            names: ID of a node to which the text refers -> its name.
        """
        try:
            value = json.loads(stored, object_hook=partial(_plain, names or {}))
            line = readable_json(value)
            return cls(line if len(line) <= _LINE else readable_json(value, indent=2), len(stored))
        except RecursionError:
            # It is JSON, but nested too deep for Python's parser.
            return cls(stored, len(stored))
        except ValueError:
            # It is pickled. Unpickling could run arbitrary code, so it is not shown.
            return cls("", len(stored), pickled=True)


def referred_to(stored: str) -> set[UUID]:
    """Return the IDs of the nodes to whose results a stored text refers."""
    found: set[UUID] = set()

    def note(value: dict[str, Any]) -> Any:
        if value.keys() == {"__type__", "__value__"} and is_reference(value["__type__"], value["__value__"]):
            node = as_uuid(str(value["__value__"][0]))
            found.update([node] if node else [])
        return value

    try:
        json.loads(stored, object_hook=note)
    except (RecursionError, ValueError):
        return set()
    return found


def _plain(names: Mapping[UUID, str], value: dict[str, Any]) -> Any:
    """Return a dict that encodes one of Celery's extra types, or a reference, as text; other dicts unchanged."""
    if value.keys() != {"__type__", "__value__"}:
        return value
    kind, content = value["__type__"], value["__value__"]
    if is_reference(kind, content):
        node = as_uuid(str(content[0]))
        name = "node" if node is None else names.get(node, "node")
        return f"<{content[1]} of {name} {node or content[0]}{''.join(f'[{step!r}]' for step in content[2:])}>"
    return stand_in_text(kind, content) or f"<{kind} {typed_text(kind, content)}>"
