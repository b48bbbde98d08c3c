"""The registered trees as lines of text."""

from collections.abc import Iterator, Sequence
from typing import Any

from django_tasktree.registry import Definition

_NONE = """No tree is registered. Decorate a function that returns a TaskTree, in trees.py of an installed app:

    from django_tasktree import TaskTree, register_tree

    @register_tree
    def nightly_report(full: bool = False) -> TaskTree:
        tree = TaskTree()
        tree.add_task(...)
        return tree"""


def definition_lines(definitions: Sequence[Definition[Any]]) -> Iterator[str]:
    """Tell of each tree its name, its purpose and its parameters; where there is none, how to register one."""
    if not definitions:
        yield _NONE
    for definition in definitions:
        yield f"{definition.name}  {definition.summary}".rstrip()
        for parameter in definition.parameters:
            yield f"    --param {parameter.name}=…   {parameter.describe()}"
