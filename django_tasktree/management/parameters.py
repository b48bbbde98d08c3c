"""Parse the parameters of a definition from command line arguments."""

from collections.abc import Iterable
from typing import Any

from django_tasktree.encoding import strict_json
from django_tasktree.management.errors import usage_error


def read_pairs(texts: Iterable[str]) -> dict[str, str]:
    """Return a dict from texts of the form ``name=value``.

    Raises:
        CommandError: a text has no ``=`` or no name, or a name occurs twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise usage_error(f"--param takes name=value, not {text!r}")
        if name in pairs:
            raise usage_error(
                f"--param {name} is given twice; separate the values of a list by commas, or pass a JSON array"
            )
        pairs[name] = value
    return pairs


def read_json(text: str | None) -> dict[str, Any]:
    """Return a JSON object as a dict; an empty one for None.

    Raises:
        CommandError: the text is not a JSON object.
    """
    if text is None:
        return {}
    try:
        values = strict_json.read_json(text)
    except ValueError as exc:
        raise usage_error(f"--params-json is not valid JSON: {exc}") from exc
    if not isinstance(values, dict):
        raise usage_error(f'--params-json takes an object such as {{"name": "value"}}, not {text!r}')
    return values
