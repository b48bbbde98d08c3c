"""Arguments and results as they stand in rows, made readable; nothing is ever unpickled for a page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django_tasktree.call_texts import is_reference, typed_text
from django_tasktree.identifiers import as_uuid
from django_tasktree.stand_ins import stand_in_text
from django_tasktree.text import readable_json

#: Longer texts are cut: a page should not become as long as the largest result.
LONGEST = 50_000
#: Texts with more lines, or more characters, are folded at first.
_OPEN_LINES, _OPEN_CHARACTERS = 24, 2_000
#: What is no longer than this stands on one line.
_LINE = 80


@dataclass(frozen=True)
class StoredValue:
    """A stored text as a page shows it.

    Attributes:
        text: readable JSON; empty where it was pickled.
        size: how many characters are stored.
        pickled: whether it is no JSON.
    """

    text: str
    size: int
    pickled: bool = False

    @property
    def shown(self) -> str:
        """As much of the text as a page shows."""
        return self.text[:LONGEST]

    @property
    def cut(self) -> bool:
        """Whether the end is left out."""
        return len(self.text) > LONGEST

    @property
    def is_short(self) -> bool:
        """Whether it may stand open on a page."""
        return len(self.text) <= _OPEN_CHARACTERS and self.text.count("\n") < _OPEN_LINES

    @classmethod
    def of(cls, stored: str, names: Mapping[UUID, str] | None = None) -> "StoredValue":
        """Read a text that ``django_tasktree.serialization`` wrote, without making objects of it.

        Args:
            stored: the text.
            names: what to call the nodes that it refers to.
        """
        try:
            value = json.loads(stored, object_hook=partial(_plain, names or {}))
            line = readable_json(value)
            return cls(line if len(line) <= _LINE else readable_json(value, indent=2), len(stored))
        except RecursionError:
            # Nested deeper than Python can read; still JSON.
            return cls(stored, len(stored))
        except ValueError:
            # What is not JSON was pickled, and unpickling runs whatever code somebody put there.
            return cls("", len(stored), pickled=True)


def referred_to(stored: str) -> set[UUID]:
    """Find the nodes to whose results a stored text refers."""
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
    """Show an object of one of Celery's extra types as one text that names the type."""
    if value.keys() != {"__type__", "__value__"}:
        return value
    kind, content = value["__type__"], value["__value__"]
    if is_reference(kind, content):
        node = as_uuid(str(content[0]))
        name = "node" if node is None else names.get(node, "node")
        return f"<{content[1]} of {name} {node or content[0]}{''.join(f'[{step!r}]' for step in content[2:])}>"
    return stand_in_text(kind, content) or f"<{kind} {typed_text(kind, content)}>"
