"""Checks of definitions, by the source code of their functions."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from celery import Task
from django.core.checks import CheckMessage
from django.core.checks import Warning as Warned

from django_tasktree.builder.eligibility import supports_trees
from django_tasktree.definitions.registry import all_definitions

#: Methods whose first argument is a task.
_ADDING = frozenset({"add_task", "gather", "push"})
#: Methods of a task that return a signature of it.
_SIGNING = frozenset({"s", "si", "signature", "subtask"})


def definitions_use_supported_tasks() -> Iterator[CheckMessage]:
    """Check W006: definitions must only add tasks that can take part in a tree."""
    for definition in all_definitions():
        for name in sorted(_unsupported_tasks(definition.function)):
            yield Warned(
                f"The definition {definition.name!r} ({definition.place}) adds the task {name!r}, which can't take "
                "part in a tree.",
                hint="Decorate it with @task_with_callbacks, or give its decorator base=CallbackTask: docs/tasks.rst.",
                id="django_tasktree.W006",
            )


def _unsupported_tasks(function: Callable[..., Any]) -> set[str]:
    """Return the names of the tasks that a function adds and that can't take part in a tree."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        # The function was typed into a shell or created by code, so there is no source.
        return set()
    values = (_named(argument, function) for argument in _tasks_added(tree))
    return {str(task.name) for task in values if isinstance(task, Task) and not supports_trees(task)}


def _tasks_added(tree: ast.AST) -> Iterator[ast.expr]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            yield from (_unsigned(argument) for argument in call.args[:1] if call.func.attr in _ADDING)


def _unsigned(argument: ast.expr) -> ast.expr:
    """Return the task of ``task.s(…)``; any other expression unchanged."""
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute) and argument.func.attr in _SIGNING:
        return argument.func.value
    return argument


def _named(argument: ast.expr, function: Callable[..., Any]) -> Any:
    """Return the value of a global name or of a name in a module; None if it is only known when the function runs."""
    if isinstance(argument, ast.Name):
        return getattr(inspect.unwrap(function), "__globals__", {}).get(argument.id)
    if isinstance(argument, ast.Attribute):
        module = _named(argument.value, function)
        return vars(module).get(argument.attr) if inspect.ismodule(module) else None
    return None
