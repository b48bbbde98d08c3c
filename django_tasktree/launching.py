"""Launch a tree by the name of its definition: what beat, the command line and the admin have in common."""

from collections.abc import Mapping
from typing import Any

from django_tasktree.registry import Definition, get_definition
from django_tasktree.result import TreeResult
from django_tasktree.tree import TaskTree


def launch_definition(
    name: str, params: Mapping[str, Any] | None = None, *, key: str | None = None, launched_by: Any = None
) -> TreeResult:
    """Build the tree that a name stands for, and launch it.

    Args:
        name: of a definition, as ``@register_tree`` gave it.
        params: values of the parameters' own types, or what JSON can hold; those left out get their defaults.
        key: makes the launch idempotent: the same key gives the run that exists.
        launched_by: the user who launches it.

    Raises:
        UnknownDefinition: no tree has this name.
        InvalidParameter: parameters are missing, unknown or do not fit.
        InvalidDefinition: the definition did not return a tree.
        KeyInUse: the key belongs to a run of another definition or other parameters.
    """
    return prepare(name, params).apply_async(key=key, launched_by=launched_by)


def prepare(name: str, params: Mapping[str, Any] | None = None) -> TaskTree:
    """Build the tree that a name stands for, without launching it; see :func:`launch_definition`."""
    definition = get_definition(name)
    return definition.build(**definition.clean_params(params or {}))


def params_from_text(
    definition: Definition[Any], pairs: Mapping[str, str], params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read the parameters of a definition from a command line.

    Args:
        definition: the definition.
        pairs: parameter -> text, as ``Definition.parse_params`` reads it.
        params: further parameters as JSON can hold them; a text of the same name comes first.

    Raises:
        InvalidParameter: parameters are missing, unknown or do not fit.
    """
    if not params:
        return definition.parse_params(pairs)
    readers = {parameter.name: parameter.parse for parameter in definition.parameters}
    # A name that the definition does not have goes on unread, so that clean_params reports it with all else.
    texts = {key: readers[key](text) if key in readers else text for key, text in pairs.items()}
    return definition.clean_params({**params, **texts})
