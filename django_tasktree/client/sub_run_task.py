"""The task of nodes that start a run of a definition, and wait for it."""

from collections.abc import Mapping
from typing import Any

from django_tasktree.builder.own_tasks import START_RUN
from django_tasktree.client.decorators import task_with_callbacks
from django_tasktree.definitions.launch import prepare
from django_tasktree.worker.replacement import replace_by


@task_with_callbacks(name=START_RUN)
def start_run(name: str, params: Mapping[str, Any]) -> None:
    """Build the tree of a definition, and end with its run, whose result becomes that of the node.

    Args:
        name: the name of the definition.
        params: its parameters, as JSON or values of their types.

    Raises:
        UnknownDefinition: no definition has this name in the worker.
        InvalidParameter: parameters are missing, unknown or have invalid values.
    """
    replace_by(prepare(name, params))
