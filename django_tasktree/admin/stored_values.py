"""Arguments and results as they stand in rows, made readable; nothing is ever unpickled for a page."""

import json
import re
from dataclasses import dataclass
from typing import Any

from django_tasktree.text import readable_json

#: Longer texts are cut: a page should not become as long as the largest result.
LONGEST = 50_000
#: Texts with more lines, or more characters, are folded at first.
_OPEN_LINES, _OPEN_CHARACTERS = 24, 2_000
#: What is no longer than this stands on one line.
_LINE = 80
#: A reference to another node's result, in a text that may end within it.
_REFERENCE = re.compile(r'\{"__type__": "tasktree-output"(?:, "__value__": \["[0-9a-f]+", "(\w+)"[^\]]*\]\}|.*$)')
#: Stands around what bears no quotes; nobody types it.
_BARE = "\ue000"


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
    def of(cls, stored: str) -> "StoredValue":
        """Read a text that ``django_tasktree.serialization`` wrote, without making objects of it."""
        try:
            value = json.loads(stored, object_hook=_plain)
            line = readable_json(value)
            return cls(line if len(line) <= _LINE else readable_json(value, indent=2), len(stored))
        except RecursionError:
            # Nested deeper than Python can read; still JSON.
            return cls(stored, len(stored))
        except ValueError:
            # What is not JSON was pickled, and unpickling runs whatever code somebody put there.
            return cls("", len(stored), pickled=True)


def _plain(value: dict[str, Any]) -> Any:
    """Show an object of one of Celery's extra types as one text that names the type."""
    if value.keys() != {"__type__", "__value__"}:
        return value
    kind, content = value["__type__"], value["__value__"]
    if _is_reference(kind, content):
        return f"<{content[1]} of node {content[0]}{_path(content)}>"
    return f"<{kind} {content}>"


def _is_reference(kind: Any, content: Any) -> bool:
    return kind == "tasktree-output" and isinstance(content, list)


def _path(content: list[Any]) -> str:
    return "".join(f"[{step!r}]" for step in content[2:])


def call_text(task: str, args: str, kwargs: str) -> str:
    """Show a node as a call: the last part of the task's name, and the beginning of its arguments.

    Args:
        task: the dotted name.
        args: the beginning of the stored positional arguments.
        kwargs: the beginning of the stored keyword arguments.
    """
    parts = [part for part in (_inside(args), _named(kwargs)) if part]
    return f"{task.rpartition('.')[2]}({', '.join(parts)})"


def _inside(args: str) -> str:
    try:
        values = json.loads(args, object_hook=_short)
    except (ValueError, RecursionError):
        # Pickled, or longer than its beginning.
        return _cut_off(args)
    return ", ".join(_line(value) for value in values)


def _named(kwargs: str) -> str:
    try:
        values = json.loads(kwargs, object_hook=_short)
    except (ValueError, RecursionError):
        return _cut_off(kwargs)
    return ", ".join(f"{name}={_line(value)}" for name, value in values.items())


def _short(value: dict[str, Any]) -> Any:
    """Show a reference without the key of its node, which tells nobody anything: ``output['rows']``."""
    content: Any = value.get("__value__")
    if _is_reference(value.get("__type__"), content):
        return f"{_BARE}{content[1]}{_path(content)}{_BARE}"
    return _plain(value)


def _line(value: Any) -> str:
    """Write a value on one line, references in it without quotes."""
    return re.sub(f'"{_BARE}(.*?){_BARE}"', r"\1", readable_json(value))


def _cut_off(text: str) -> str:
    if text[:1] not in ("[", "{"):
        return "…"
    return f"{_REFERENCE.sub(_named_output, text[1:])}…"


def _named_output(found: re.Match[str]) -> str:
    return found[1] or "…"
