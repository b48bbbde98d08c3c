"""Launch a tree by the name of its definition; used by celery-beat, the command line and the admin."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django_tasktree.definitions.definition import Definition
from django_tasktree.definitions.registry import get_definition

if TYPE_CHECKING:
    from django_tasktree.client.tree import TaskTree
    from django_tasktree.client.tree_result import TreeResult


def launch_definition(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    launched_by: Any = None,
    draft: bool = False,
    eta: datetime | None = None,
    countdown: float | None = None,
    deadline: datetime | timedelta | None = None,
) -> "TreeResult":
    """Build the tree of a definition, launch it, and return the handle of the run.

    Example: ``launch_definition("daily-orders", {"day": "2026-02-01"}, key="orders-2026-02-01")``.

    Args:
        name: the name under which the definition is registered.
        params: values of the parameters, as their own types or as JSON values; others get their defaults.
        key: makes the launch idempotent: if a run with this key exists, its handle is returned.
        launched_by: the user who launches it.
        draft: see :meth:`TaskTree.apply_async`, as for the other arguments.
        eta: when the run starts.
        countdown: in how many seconds it starts.
        deadline: when it is stopped if it has not ended.

    Raises:
        UnknownDefinition: no definition has this name.
        InvalidParameter: parameters are missing, unknown or have invalid values.
        InvalidDefinition: the definition did not return a tree.
        KeyInUse: the key belongs to a run of another definition or other parameters.
    """
    return prepare(name, params).apply_async(
        key=key, launched_by=launched_by, draft=draft, eta=eta, countdown=countdown, deadline=deadline
    )


def prepare(name: str, params: Mapping[str, Any] | None = None) -> "TaskTree":
    """Return the tree of a definition without launching it.

    Args and errors: see :func:`launch_definition`.
    """
    definition = get_definition(name)
    return definition.build(**definition.clean_params(params or {}))


def params_from_text(
    definition: Definition[Any], pairs: Mapping[str, str], params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the parameters of a definition, parsed from a command line.

    Args:
        definition: the definition.
        pairs: name of a parameter -> text, as ``Definition.parse_params`` takes it.
        params: further parameters as JSON values; a text for the same parameter takes precedence.

    Raises:
        InvalidParameter: parameters are missing, unknown or have invalid values.
    """
    if not params:
        return definition.parse_params(pairs)
    readers = {parameter.name: parameter.parse for parameter in definition.parameters}
    # Unknown names are passed on unparsed, so that clean_params reports them together with other errors.
    texts = {key: readers[key](text) if key in readers else text for key, text in pairs.items()}
    return definition.clean_params({**params, **texts})
