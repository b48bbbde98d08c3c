"""Launch a tree by the name of its definition: what beat, the command line and the admin have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_tasktree.registry import Definition, get_definition
from django_tasktree.result import TreeResult
from django_tasktree.tree import TaskTree


@dataclass(frozen=True)
class PreparedLaunch:
    """A tree that was built from a definition and has not been launched yet: whatever can be wrong is known by now.

    Attributes:
        definition: what it was built from.
        params: the parameters, as values of their own types.
        tree: the built tree.
    """

    definition: Definition
    params: dict[str, Any]
    tree: TaskTree

    def launch(self, *, key: str | None = None, launched_by: Any = None, **options: Any) -> TreeResult:
        """Launch the tree; its run bears the tree's own name, or else that of the definition.

        Args:
            key: makes the launch idempotent: the same key gives the run that exists.
            launched_by: the user who launches it.
            **options: ``draft``, ``eta``, ``countdown``, ``deadline``: see :meth:`TaskTree.apply_async`.
        """
        return self.tree.apply_async(
            key=key,
            name=self.tree.name or self.definition.name,
            launched_by=launched_by,
            definition=self.definition.name,
            params=self.definition.params_to_json(self.params),
            **options,
        )


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
    """
    return prepare(name, params).launch(key=key, launched_by=launched_by)


def prepare(name: str, params: Mapping[str, Any] | None = None) -> PreparedLaunch:
    """Build the tree that a name stands for, without launching it; see :func:`launch_definition`."""
    definition = get_definition(name)
    return _prepared(definition, definition.clean_params(params or {}))


def prepare_from_text(name: str, pairs: Mapping[str, str], params: Mapping[str, Any] | None = None) -> PreparedLaunch:
    """The same with parameters from a command line.

    Args:
        name: of a definition.
        pairs: parameter -> text, as ``Definition.parse_params`` reads it.
        params: further parameters as JSON can hold them; a text of the same name comes first.

    Raises:
        UnknownDefinition, InvalidParameter, InvalidDefinition: see :func:`launch_definition`.
    """
    definition = get_definition(name)
    if not params:
        return _prepared(definition, definition.parse_params(pairs))
    readers = {parameter.name: parameter.parse for parameter in definition.parameters}
    # A name that the definition does not have goes on unread, so that clean_params reports it with all else.
    texts = {key: readers[key](text) if key in readers else text for key, text in pairs.items()}
    return _prepared(definition, definition.clean_params({**params, **texts}))


def _prepared(definition: Definition, params: dict[str, Any]) -> PreparedLaunch:
    return PreparedLaunch(definition, params, definition.build(**params))
