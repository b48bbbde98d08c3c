"""Parameters of a tree, as they are typed on a command line."""

import json
from collections.abc import Iterable
from typing import Any

from django_tasktree.management.usage import usage_error


def read_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Split ``name=value`` texts.

    Raises:
        CommandError: a text has no ``=`` or no name, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise usage_error(f"--param takes name=value, not {text!r}")
        if name in pairs:
            raise usage_error(f"--param {name} is given twice; a list takes commas, or a JSON array")
        pairs[name] = value
    return pairs


def read_json(text: str | None) -> dict[str, Any]:
    """Read a JSON object; nothing is an empty one.

    Raises:
        CommandError: the text is no JSON object.
    """
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise usage_error(f"--params-json is not valid JSON: {exc}") from exc
    if not isinstance(values, dict):
        raise usage_error(f'--params-json takes an object such as {{"name": "value"}}, not {text!r}')
    return values
