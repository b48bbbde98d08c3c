"""The definitions of sub-runs: which definition a node starts, and with which parameters."""

import reprlib
from collections.abc import Mapping
from typing import Any

from django_tasktree.definitions.definition import Definition
from django_tasktree.definitions.given_parameters import check_names, read_parameters
from django_tasktree.definitions.parameters import Parameter
from django_tasktree.definitions.registry import get_definition
from django_tasktree.encoding.items import Item
from django_tasktree.encoding.nested import holds
from django_tasktree.encoding.references import Output, Reference
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter


def checked_run(definition: Any, params: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """Return the name of a definition and its parameters, as arguments of the task that starts the run.

    Args:
        definition: a definition, or its name.
        params: the parameters; the values of those with outputs of nodes are checked when the node runs.

    Raises:
        UnknownDefinition: there is no definition of this name.
        InvalidDefinition: it is neither a name nor a definition.
        InvalidParameter: parameters are missing, unknown or have invalid values.
    """
    if not isinstance(definition, (str, Definition)):
        raise InvalidDefinition(
            f"{reprlib.repr(definition)} is neither a definition nor the name of one: decorate the function that "
            "returns the tree with @register_tree, or add a tree with add_tree()"
        )
    known = get_definition(definition if isinstance(definition, str) else definition.name)
    given = {} if params is None else params
    if not isinstance(given, Mapping):
        raise InvalidParameter(
            f"the parameters of definition {known.name!r} must be a dict of values by name, not {reprlib.repr(given)}"
        )
    to_come = {name: value for name, value in given.items() if holds(value, (Output, Reference, Item))}
    if not to_come:
        return known.name, known.params_to_json(known.clean_params(given))
    check_names(known.name, known.parameters, given)
    parameters = [each for each in known.parameters if each.name not in to_come]
    values = {name: value for name, value in given.items() if name not in to_come}
    params = read_parameters(known.name, parameters, values, Parameter.clean)
    return known.name, known.params_to_json(params) | to_come
