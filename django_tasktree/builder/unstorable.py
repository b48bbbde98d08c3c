"""Explain why an argument can't be stored, and what to pass instead."""

import inspect
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from celery import Task, current_app
from django.db.models import Manager, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise

from django_tasktree.builder.nodes import NodeParent, TaskTreeNode
from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import paths
from django_tasktree.encoding.text import text_of
from django_tasktree.exceptions import SerializationError


def explain(node: TaskTreeNode, prefer: str) -> str | None:
    """Return a message about the first argument of a node that can't be stored, with the reason and the remedy.

    Args:
        node: the node.
        prefer: see :func:`django_tasktree.encoding.serialization.dumps`.

    Returns:
        None if no single value is the cause.
    """
    for name, value in _arguments(node):
        for path, leaf in paths(value):
            reason = reason_against(leaf, prefer)
            if reason is not None:
                path_text = f"{name}{''.join(f'[{step!r}]' for step in path)}"
                return f"the argument {path_text} of task {node.task!r} can't be stored: {reason}"
    return None


def reason_against(value: Any, prefer: str) -> str | None:
    """Return why a value can't be stored as an argument; None if it can.

    Args:
        value: the value; not a list, tuple or dict.
        prefer: see :func:`django_tasktree.encoding.serialization.dumps`.
    """
    if isinstance(value, Promise) and not serialization.pickle_accepted():
        return "it is a lazy translation: pass str(…) of it, or translate in the task"
    try:
        serialization.write(value, "max_args_size", prefer=prefer)
    except SerializationError as exc:
        return _remedy(value) or text_of(exc)
    return None


def _remedy(value: Any) -> str | None:
    if isinstance(value, (QuerySet, Manager)):
        label = value.model._meta.label
        return (
            f"it is a {type(value).__name__} of {label}, which would be evaluated in the worker: pass its rows, "
            "list(…), or their keys, list(….values_list('pk', flat=True))"
        )
    if isinstance(value, TaskTreeNode):
        return "it is a node: pass its output, node.output"
    if isinstance(value, NodeParent):
        return "it is a tree: pass the results of its nodes, tree.outputs"
    if isinstance(value, (set, frozenset)):
        return "it is a set: pass a list"
    if isinstance(value, Task):
        return f"it is the task {value.name}: pass its name, and look it up in the task"
    if isinstance(value, (FunctionType, BuiltinFunctionType, MethodType)):
        name = f"{value.__module__}.{value.__qualname__}"
        return f"it is the function {name}: call it in the task, and pass the data that it needs"
    if isinstance(value, HttpRequest):
        return "it is a request: pass only the values that the task needs"
    if isinstance(value, Iterator):
        return "it is an iterator: pass a list"
    return None


def _arguments(node: TaskTreeNode) -> Iterator[tuple[str, Any]]:
    """Yield the arguments, each with its name in the task's signature or, if it has none, its number."""
    names = _parameters(node.task)
    for number, value in enumerate(node.args):
        yield (repr(names[number]) if number < len(names) else f"number {number + 1}"), value
    for name, value in node.kwargs.items():
        yield repr(name), value


def _parameters(task: str) -> list[str]:
    try:
        signature = inspect.signature(current_app.tasks[task].run)
    except (KeyError, TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.name for each in signature.parameters.values() if each.kind in positional]
