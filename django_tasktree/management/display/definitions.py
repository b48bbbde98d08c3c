"""The output of ``run_tasktree --list``, as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from django_tasktree.definitions.definition import Definition

_NONE = """No definition is registered. In trees.py of an installed app, decorate a function that returns a TaskTree:

    from django_tasktree import TaskTree, register_tree

    @register_tree
    def nightly_report(full: bool = False) -> TaskTree:
        tree = TaskTree()
        tree.add_task(...)
        return tree"""


def definition_lines(definitions: Sequence[Definition[Any]]) -> Iterator[str]:
    """Yield the name, summary and parameters of each definition; if there is none, how to register one."""
    if not definitions:
        yield _NONE
    for definition in definitions:
        yield f"{definition.name}  {definition.summary}".rstrip()
        for parameter in definition.parameters:
            yield f"    --param {parameter.name}=…   {parameter.describe()}"


def definitions_json(definitions: Sequence[Definition[Any]]) -> list[dict[str, Any]]:
    """Return the definitions as dicts; a ``default`` is a value for ``--params-json``."""
    return [
        {
            "name": definition.name,
            "description": definition.description,
            "parameters": [
                {
                    "name": parameter.name,
                    "type": parameter.label,
                    "required": parameter.required,
                    "default": None if parameter.required else parameter.to_json(parameter.default),
                }
                for parameter in definition.parameters
            ],
        }
        for definition in definitions
    ]
